* xor: hierarchical network
* experiment xor, initial conductances, seed 0
.subckt xor_w1_0_0 w0 w1 w2 w3 w4 w5 b0 b1 b2 b3 b4 b5 b6 b7
r0_2 w0 b2 1209156.3522737327
r1_1 w1 b1 330695.55211152567
r1_2 w1 b2 816666.4738636257
r1_3 w1 b3 707126.3271763625
r1_5 w1 b5 327212.13192204334
r1_6 w1 b6 344197.78483149005
r2_0 w2 b0 400241.23942398245
r2_1 w2 b1 1946643.7266812497
r3_1 w3 b1 813129.9806700323
r3_2 w3 b2 295314.50174015734
r3_4 w3 b4 1110679.9437325313
r3_6 w3 b6 2173395.6076098958
r4_0 w4 b0 1646858.8692921607
r4_4 w4 b4 12991139.625477915
r4_7 w4 b7 485765.8228962355
r5_0 w5 b0 487941.0063860636
r5_1 w5 b1 1711068.8372603685
r5_5 w5 b5 21046606.843146864
.ends xor_w1_0_0
.subckt xor_w1_0_1 w0 w1 w2 w3 w4 w5 b8 b9
r2_8 w2 b8 596121.98334744604
r2_9 w2 b9 264886.7560540318
r5_8 w5 b8 445310.36098258663
r5_9 w5 b9 281027.23408457998
.ends xor_w1_0_1
.subckt xor_neuron_0 a b c
d0 a b dhidden
d1 c a dhidden
.ends xor_neuron_0
.subckt xor_amplifier_0 in out vss
e1 sense vss in vss 4.0
v1 sense out 0.0
f1 in vss v1 0.25
.ends xor_amplifier_0
.subckt xor_w2_0_0 w0 w1 w2 w3 w4 w5 w6 w7 b0 b1 b2 b3
r1_2 w1 b2 606730.51881739142
r2_1 w2 b1 787341.2165209664
r2_2 w2 b2 582384.4473560124
r3_0 w3 b0 486300.3597571742
r3_1 w3 b1 367119.4159260742
r3_2 w3 b2 3428656.9671321763
r4_0 w4 b0 950800.0994266925
r4_1 w4 b1 353941.42632087
r4_2 w4 b2 815343.1288446715
r5_0 w5 b0 2964289.6867427997
r6_0 w6 b0 533270.79759551993
r7_0 w7 b0 1198248.2038642364
r7_3 w7 b3 506147.6895980586
.ends xor_w2_0_0
.subckt xor_w2_1_0 w8 w9 w10 w11 b0 b1 b2 b3
r8_0 w8 b0 1227791.101130922
r9_1 w9 b1 1031000.5092269157
r10_0 w10 b0 1321539.6806787849
r10_3 w10 b3 846826.179826531
r11_2 w11 b2 978097.7260623461
.ends xor_w2_1_0
.subckt xor x0p x1p x0n x1n shift_low shift_high b1p b1n b2p b2n o0p o0n o1p o1n vss
xw1_0_0 x0p x1p x0n x1n b1p b1n h1_0 h1_1 h1_2 h1_3 h1_4 h1_5 h1_6 h1_7 xor_w1_0_0
xw1_0_1 x0p x1p x0n x1n b1p b1n h1_8 h1_9 xor_w1_0_1
xn_h1_0 h1_0 shift_high shift_low xor_neuron_0
xn_h1_1 h1_1 shift_high shift_low xor_neuron_0
xn_h1_2 h1_2 shift_high shift_low xor_neuron_0
xn_h1_3 h1_3 shift_high shift_low xor_neuron_0
xn_h1_4 h1_4 shift_high shift_low xor_neuron_0
xn_h1_5 h1_5 shift_high shift_low xor_neuron_0
xn_h1_6 h1_6 shift_high shift_low xor_neuron_0
xn_h1_7 h1_7 shift_high shift_low xor_neuron_0
xn_h1_8 h1_8 shift_high shift_low xor_neuron_0
xn_h1_9 h1_9 shift_high shift_low xor_neuron_0
xamp1_0 h1_0 a1_0 vss xor_amplifier_0
xamp1_1 h1_1 a1_1 vss xor_amplifier_0
xamp1_2 h1_2 a1_2 vss xor_amplifier_0
xamp1_3 h1_3 a1_3 vss xor_amplifier_0
xamp1_4 h1_4 a1_4 vss xor_amplifier_0
xamp1_5 h1_5 a1_5 vss xor_amplifier_0
xamp1_6 h1_6 a1_6 vss xor_amplifier_0
xamp1_7 h1_7 a1_7 vss xor_amplifier_0
xamp1_8 h1_8 a1_8 vss xor_amplifier_0
xamp1_9 h1_9 a1_9 vss xor_amplifier_0
xw2_0_0 a1_0 a1_1 a1_2 a1_3 a1_4 a1_5 a1_6 a1_7 o0p o0n o1p o1n xor_w2_0_0
xw2_1_0 a1_8 a1_9 b2p b2n o0p o0n o1p o1n xor_w2_1_0
.ends xor
