module cyborg-kms.internal/bench

go 1.24

require cyborg-kms.internal/cyborgkms v0.1.0

replace cyborg-kms.internal/cyborgkms => ../../bindings/go
