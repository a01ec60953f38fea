// .internal belongs to nobody (ICANN reserved it), so no command can ever fetch someone else's module under this
// name: it comes with the library, and a program names its folder in a `replace`. See docs/languages/go.md.
module cyborg-kms.internal/cyborgkms

go 1.24
