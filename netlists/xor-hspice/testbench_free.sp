* xor: testbench, free phase
* experiment xor, initial conductances, seed 0
.include 'parameters.sp'
.include 'models.sp'
.include 'network.sp'
xnet x0p x1p x0n x1n shift_low shift_high b1p b1n b2p b2n o0p o0n o1p o1n 0 xor
vshift_low shift_low 0 'rail_shift_low'
vshift_high shift_high 0 'rail_shift_high'
vb1p b1p 0 'rail_b1p'
vb1n b1n 0 'rail_b1n'
vb2p b2p 0 'rail_b2p'
vb2n b2n 0 'rail_b2n'
vx0p x0p 0 pwl(0.0 -4.0 1e-06 -4.0 1.01e-06 -4.0 2e-06 -4.0 2.01e-06 4.0 3e-06 4.0 3.01e-06 4.0
+ 4e-06 4.0)
vx1p x1p 0 pwl(0.0 -4.0 1e-06 -4.0 1.01e-06 4.0 2e-06 4.0 2.01e-06 -4.0 3e-06 -4.0 3.01e-06 4.0
+ 4e-06 4.0)
vx0n x0n 0 pwl(0.0 4.0 1e-06 4.0 1.01e-06 4.0 2e-06 4.0 2.01e-06 -4.0 3e-06 -4.0 3.01e-06 -4.0 4e-06
+ -4.0)
vx1n x1n 0 pwl(0.0 4.0 1e-06 4.0 1.01e-06 -4.0 2e-06 -4.0 2.01e-06 4.0 3e-06 4.0 3.01e-06 -4.0 4e-06
+ -4.0)
.tran 5e-07 4e-06
.measure tran o0p__s0 find v(o0p) at=5e-07
.measure tran o0p__s1 find v(o0p) at=1.5e-06
.measure tran o0p__s2 find v(o0p) at=2.5e-06
.measure tran o0p__s3 find v(o0p) at=3.5e-06
.measure tran o0n__s0 find v(o0n) at=5e-07
.measure tran o0n__s1 find v(o0n) at=1.5e-06
.measure tran o0n__s2 find v(o0n) at=2.5e-06
.measure tran o0n__s3 find v(o0n) at=3.5e-06
.measure tran o1p__s0 find v(o1p) at=5e-07
.measure tran o1p__s1 find v(o1p) at=1.5e-06
.measure tran o1p__s2 find v(o1p) at=2.5e-06
.measure tran o1p__s3 find v(o1p) at=3.5e-06
.measure tran o1n__s0 find v(o1n) at=5e-07
.measure tran o1n__s1 find v(o1n) at=1.5e-06
.measure tran o1n__s2 find v(o1n) at=2.5e-06
.measure tran o1n__s3 find v(o1n) at=3.5e-06
.end
