* xor: models
* experiment xor, initial conductances, seed 0
.model dhidden d(is=1e-11 n=2.0)
