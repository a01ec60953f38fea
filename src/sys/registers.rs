//! The processor's vector registers, which keep what AES had in them until someone else needs them.
#![allow(unsafe_code)] // Inline assembler.

/// Zeroes the vector registers, where the processor has an instruction for it: a core dump shows them.
#[inline(never)]
pub fn clear_vectors() {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx") {
        // SAFETY: the processor has AVX; all that the instruction changes is named.
        unsafe {
            std::arch::asm!(
                "vzeroall",
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
                out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
                out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}
