* xor: flat network, in place of network
* experiment xor, initial conductances, seed 0
.subckt xor x0p x1p x0n x1n shift_low shift_high b1p b1n b2p b2n o0p o0n o1p o1n vss
rw1_0_0__0_2 x0p h1_2 1209156.3522737327
rw1_0_0__1_1 x1p h1_1 330695.55211152567
rw1_0_0__1_2 x1p h1_2 816666.4738636257
rw1_0_0__1_3 x1p h1_3 707126.3271763625
rw1_0_0__1_5 x1p h1_5 327212.13192204334
rw1_0_0__1_6 x1p h1_6 344197.78483149005
rw1_0_0__2_0 x0n h1_0 400241.23942398245
rw1_0_0__2_1 x0n h1_1 1946643.7266812497
rw1_0_0__3_1 x1n h1_1 813129.9806700323
rw1_0_0__3_2 x1n h1_2 295314.50174015734
rw1_0_0__3_4 x1n h1_4 1110679.9437325313
rw1_0_0__3_6 x1n h1_6 2173395.6076098958
rw1_0_0__4_0 b1p h1_0 1646858.8692921607
rw1_0_0__4_4 b1p h1_4 12991139.625477915
rw1_0_0__4_7 b1p h1_7 485765.8228962355
rw1_0_0__5_0 b1n h1_0 487941.0063860636
rw1_0_0__5_1 b1n h1_1 1711068.8372603685
rw1_0_0__5_5 b1n h1_5 21046606.843146864
rw1_0_1__2_8 x0n h1_8 596121.98334744604
rw1_0_1__2_9 x0n h1_9 264886.7560540318
rw1_0_1__5_8 b1n h1_8 445310.36098258663
rw1_0_1__5_9 b1n h1_9 281027.23408457998
dn_h1_0__0 h1_0 shift_high dhidden
dn_h1_0__1 shift_low h1_0 dhidden
dn_h1_1__0 h1_1 shift_high dhidden
dn_h1_1__1 shift_low h1_1 dhidden
dn_h1_2__0 h1_2 shift_high dhidden
dn_h1_2__1 shift_low h1_2 dhidden
dn_h1_3__0 h1_3 shift_high dhidden
dn_h1_3__1 shift_low h1_3 dhidden
dn_h1_4__0 h1_4 shift_high dhidden
dn_h1_4__1 shift_low h1_4 dhidden
dn_h1_5__0 h1_5 shift_high dhidden
dn_h1_5__1 shift_low h1_5 dhidden
dn_h1_6__0 h1_6 shift_high dhidden
dn_h1_6__1 shift_low h1_6 dhidden
dn_h1_7__0 h1_7 shift_high dhidden
dn_h1_7__1 shift_low h1_7 dhidden
dn_h1_8__0 h1_8 shift_high dhidden
dn_h1_8__1 shift_low h1_8 dhidden
dn_h1_9__0 h1_9 shift_high dhidden
dn_h1_9__1 shift_low h1_9 dhidden
eamp1_0__1 amp1_0__sense vss h1_0 vss 4.0
vamp1_0__1 amp1_0__sense a1_0 0.0
famp1_0__1 h1_0 vss vamp1_0__1 0.25
eamp1_1__1 amp1_1__sense vss h1_1 vss 4.0
vamp1_1__1 amp1_1__sense a1_1 0.0
famp1_1__1 h1_1 vss vamp1_1__1 0.25
eamp1_2__1 amp1_2__sense vss h1_2 vss 4.0
vamp1_2__1 amp1_2__sense a1_2 0.0
famp1_2__1 h1_2 vss vamp1_2__1 0.25
eamp1_3__1 amp1_3__sense vss h1_3 vss 4.0
vamp1_3__1 amp1_3__sense a1_3 0.0
famp1_3__1 h1_3 vss vamp1_3__1 0.25
eamp1_4__1 amp1_4__sense vss h1_4 vss 4.0
vamp1_4__1 amp1_4__sense a1_4 0.0
famp1_4__1 h1_4 vss vamp1_4__1 0.25
eamp1_5__1 amp1_5__sense vss h1_5 vss 4.0
vamp1_5__1 amp1_5__sense a1_5 0.0
famp1_5__1 h1_5 vss vamp1_5__1 0.25
eamp1_6__1 amp1_6__sense vss h1_6 vss 4.0
vamp1_6__1 amp1_6__sense a1_6 0.0
famp1_6__1 h1_6 vss vamp1_6__1 0.25
eamp1_7__1 amp1_7__sense vss h1_7 vss 4.0
vamp1_7__1 amp1_7__sense a1_7 0.0
famp1_7__1 h1_7 vss vamp1_7__1 0.25
eamp1_8__1 amp1_8__sense vss h1_8 vss 4.0
vamp1_8__1 amp1_8__sense a1_8 0.0
famp1_8__1 h1_8 vss vamp1_8__1 0.25
eamp1_9__1 amp1_9__sense vss h1_9 vss 4.0
vamp1_9__1 amp1_9__sense a1_9 0.0
famp1_9__1 h1_9 vss vamp1_9__1 0.25
rw2_0_0__1_2 a1_1 o1p 606730.51881739142
rw2_0_0__2_1 a1_2 o0n 787341.2165209664
rw2_0_0__2_2 a1_2 o1p 582384.4473560124
rw2_0_0__3_0 a1_3 o0p 486300.3597571742
rw2_0_0__3_1 a1_3 o0n 367119.4159260742
rw2_0_0__3_2 a1_3 o1p 3428656.9671321763
rw2_0_0__4_0 a1_4 o0p 950800.0994266925
rw2_0_0__4_1 a1_4 o0n 353941.42632087
rw2_0_0__4_2 a1_4 o1p 815343.1288446715
rw2_0_0__5_0 a1_5 o0p 2964289.6867427997
rw2_0_0__6_0 a1_6 o0p 533270.79759551993
rw2_0_0__7_0 a1_7 o0p 1198248.2038642364
rw2_0_0__7_3 a1_7 o1n 506147.6895980586
rw2_1_0__8_0 a1_8 o0p 1227791.101130922
rw2_1_0__9_1 a1_9 o0n 1031000.5092269157
rw2_1_0__10_0 b2p o0p 1321539.6806787849
rw2_1_0__10_3 b2p o1n 846826.179826531
rw2_1_0__11_2 b2n o1p 978097.7260623461
.ends xor
