//! AES-256 and AES-256-GCM of AWS-LC, made in place: their key schedules can live in an arena.

use std::mem::MaybeUninit;

use aws_lc_sys as c;

/// A prepared AES-256-GCM key. Not to be moved out of where [`Aead::init`] made it: a copy would stay behind.
#[repr(transparent)]
pub struct Aead(c::EVP_AEAD_CTX);

// SAFETY: the context of AES-GCM is plain data without a pointer to a thread's.
unsafe impl Send for Aead {}
// SAFETY: AWS-LC allows sealing and opening with one context of AES-GCM on many threads at once.
unsafe impl Sync for Aead {}

impl Aead {
    /// Prepares `key` in `place`. `None` only where AWS-LC fails, which it has no reason to.
    pub fn init<'a>(place: &'a mut MaybeUninit<Aead>, key: &[u8; 32]) -> Option<&'a mut Aead> {
        // SAFETY: `place` is writable memory for a context; zeros are a valid one to clean up.
        unsafe { c::EVP_AEAD_CTX_zero(place.as_mut_ptr().cast()) };
        // SAFETY: as just said; the key has the 32 bytes that AES-256 reads; no engine.
        let ok = unsafe {
            c::EVP_AEAD_CTX_init(
                place.as_mut_ptr().cast(),
                c::EVP_aead_aes_256_gcm(),
                key.as_ptr(),
                key.len(),
                16,
                std::ptr::null_mut(),
            )
        };
        // SAFETY: `EVP_AEAD_CTX_init` made it.
        if ok == 1 { Some(unsafe { place.assume_init_mut() }) } else { failed() }
    }

    /// The same for another key. `None` leaves it unusable: sealing and opening fail.
    pub fn rekey(&mut self, key: &[u8; 32]) -> Option<()> {
        // SAFETY: a context may be cleaned up at any time, and is then as good as uninitialised memory.
        unsafe { c::EVP_AEAD_CTX_cleanup(&raw mut self.0) };
        // SAFETY: `Aead` is `repr(transparent)`, and `MaybeUninit` has its layout. Whether or not `init`
        // succeeds, the memory holds a valid context then: zeroed, or a new one.
        let place = unsafe { &mut *std::ptr::from_mut(self).cast::<MaybeUninit<Aead>>() };
        Aead::init(place, key).map(|_| ())
    }

    /// Seals `input` into `output`, which has the same length.
    pub fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        input: &[u8],
        output: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Option<()> {
        if input.len() != output.len() {
            return None;
        }
        // SAFETY: both are `output.len()` bytes and apart, as Rust's references are.
        unsafe { self.seal_raw(nonce, aad, input.as_ptr(), output, tag) }
    }

    /// Seals `data` where it is.
    pub fn seal_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Option<()> {
        let input = data.as_mut_ptr().cast_const();
        // SAFETY: input and output are the same, which is allowed.
        unsafe { self.seal_raw(nonce, aad, input, data, tag) }
    }

    /// Opens `input` into `output`, which has the same length; a wrong tag leaves zeros there.
    pub fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        input: &[u8],
        output: &mut [u8],
        tag: &[u8; 16],
    ) -> Option<()> {
        if input.len() != output.len() {
            return None;
        }
        // SAFETY: both are `output.len()` bytes and apart, as Rust's references are.
        unsafe { self.open_raw(nonce, aad, input.as_ptr(), output, tag) }
    }

    /// Opens `data` where it is; a wrong tag leaves zeros there.
    pub fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Option<()> {
        let input = data.as_mut_ptr().cast_const();
        // SAFETY: input and output are the same, which is allowed.
        unsafe { self.open_raw(nonce, aad, input, data, tag) }
    }

    /// # Safety
    /// `input` has `output.len()` bytes to read; it is `output` or apart from it.
    unsafe fn seal_raw(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        input: *const u8,
        output: &mut [u8],
        tag: &mut [u8; 16],
    ) -> Option<()> {
        let mut tag_len = 0;
        if self.0.aead.is_null() {
            return None;
        }
        // SAFETY: the context is initialised; input and output as the caller says; the rest are slices that
        // outlive the call, given with their lengths; `tag` is apart from all.
        let ok = unsafe {
            c::EVP_AEAD_CTX_seal_scatter(
                &raw const self.0,
                output.as_mut_ptr(),
                tag.as_mut_ptr(),
                &raw mut tag_len,
                tag.len(),
                nonce.as_ptr(),
                nonce.len(),
                input,
                output.len(),
                std::ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        };
        if ok == 1 { Some(()) } else { failed() }
    }

    /// # Safety
    /// `input` has `output.len()` bytes to read; it is `output` or apart from it.
    unsafe fn open_raw(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        input: *const u8,
        output: &mut [u8],
        tag: &[u8; 16],
    ) -> Option<()> {
        if self.0.aead.is_null() {
            output.fill(0);
            return None;
        }
        // SAFETY: as in `seal_raw`.
        let ok = unsafe {
            c::EVP_AEAD_CTX_open_gather(
                &raw const self.0,
                output.as_mut_ptr(),
                nonce.as_ptr(),
                nonce.len(),
                input,
                output.len(),
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        if ok == 1 { Some(()) } else { failed() }
    }
}

impl Drop for Aead {
    fn drop(&mut self) {
        // SAFETY: the context is valid (initialised or zeroed) and never used again.
        unsafe { c::EVP_AEAD_CTX_cleanup(&raw mut self.0) };
    }
}

/// AWS-LC keeps the causes of failures for the thread; nobody will ask for them.
#[cold]
fn failed<T>() -> Option<T> {
    // SAFETY: clears the calling thread's list of errors.
    unsafe { c::ERR_clear_error() };
    None
}

/// A prepared AES-256 key, to encrypt single blocks. Not to be moved, as [`Aead`].
#[repr(transparent)]
pub struct Block(c::AES_KEY);

impl Block {
    /// Prepares `key` in `place`.
    pub fn init<'a>(place: &'a mut MaybeUninit<Block>, key: &[u8; 32]) -> Option<&'a mut Block> {
        // SAFETY: reads 32 bytes of key, writes one schedule to `place`; zeros are a valid one to begin with.
        let status = unsafe {
            place.as_mut_ptr().write_bytes(0, 1);
            c::AES_set_encrypt_key(key.as_ptr(), 256, place.as_mut_ptr().cast())
        };
        // SAFETY: made by `AES_set_encrypt_key`.
        if status == 0 { Some(unsafe { place.assume_init_mut() }) } else { failed() }
    }

    /// Encrypts one block where it is.
    #[inline]
    pub fn encrypt(&self, block: &mut [u8; 16]) {
        let block = block.as_mut_ptr();
        // SAFETY: reads and writes 16 bytes, which may be the same.
        unsafe { c::AES_encrypt(block.cast_const(), block, &raw const self.0) };
    }
}
