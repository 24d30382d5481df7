* xor: parameters
* experiment xor, initial conductances, seed 0
* expected.csv is for temp = 27 C; at another one diodes change and resistances do not
.option reltol=1e-09 vntol=1e-12 abstol=1e-15
.option gmin=1e-12 gmindc=1e-12 tnom=27.0
.option post=2 ingold=2 numdgt=10 measdgt=10
.temp 27.0
.param beta=8e-08
.param rail_shift_low=-1.0
.param rail_shift_high=0.0
.param rail_b1p=4.0
.param rail_b1n=-4.0
.param rail_b2p=4.0
.param rail_b2n=-4.0
