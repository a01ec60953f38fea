//! What must not be seen of a dependency: crc-fast, which `object_store` brings for S3, exports a C interface of its own,
//! and rustc exports from a shared library what any of its crates exports to C. With link-time optimisation all of it is
//! one module: what that calls hidden is hidden, and dropped where nobody uses it.

use std::arch::global_asm;

/// Calls symbols hidden.
macro_rules! hide {
    ($($symbol:ident)+) => {
        global_asm!($(concat!(".hidden ", stringify!($symbol))),+);
    };
}

hide! {
    crc_fast_checksum crc_fast_checksum_combine crc_fast_checksum_combine_with_params crc_fast_checksum_file
    crc_fast_checksum_file_with_params crc_fast_checksum_with_params crc_fast_clear_error crc_fast_crc32_iscsi
    crc_fast_crc32_iso_hdlc crc_fast_crc64_nvme crc_fast_digest_combine crc_fast_digest_finalize
    crc_fast_digest_finalize_reset crc_fast_digest_free crc_fast_digest_get_amount crc_fast_digest_get_state
    crc_fast_digest_new crc_fast_digest_new_with_init_state crc_fast_digest_new_with_params crc_fast_digest_reset
    crc_fast_digest_update crc_fast_error_message crc_fast_get_calculator_target crc_fast_get_custom_params
    crc_fast_get_last_error crc_fast_get_version
}
