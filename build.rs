//! How the shared library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The ABI's number: `CYBORG_KMS_ABI_VERSION`.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcyborg_kms.so.0");
        // Unloading crashes when a thread that used aws-lc ends later.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
