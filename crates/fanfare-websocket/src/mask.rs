//! Masking of client frames (RFC 6455, section 5.3).

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher, RandomState},
};

/// Masks or unmasks `data` in place: both are the same operation.
#[inline]
pub fn apply(data: &mut [u8], key: [u8; 4]) {
    // Native order on both sides: the key's bytes meet the data's bytes in memory order, on every machine.
    let word = u32::from_ne_bytes(key);
    let wide = (u64::from(word) << 32) | u64::from(word);
    let (chunks, rest) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    let (words, bytes) = rest.as_chunks_mut::<4>();
    for chunk in words {
        *chunk = (u32::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in bytes.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Returns a fresh masking key from the system's random source, through a small buffer per thread.
///
/// RFC 6455 requires unpredictable keys: they prevent a page from choosing the bytes that a proxy on the way sees.
pub fn random_key() -> [u8; 4] {
    const KEYS: usize = 128;
    struct Pool {
        keys: [[u8; 4]; KEYS],
        left: usize,
    }
    thread_local! {
        static POOL: RefCell<Pool> = const { RefCell::new(Pool { keys: [[0; 4]; KEYS], left: 0 }) };
    }
    POOL.with_borrow_mut(|pool| {
        if pool.left == 0 {
            fill_random(pool.keys.as_flattened_mut());
            pool.left = KEYS;
        }
        pool.left -= 1;
        std::mem::take(&mut pool.keys[pool.left])
    })
}

/// Fills `out` with random bytes of the system, or of the standard library's seeded hasher if the system fails.
pub(crate) fn fill_random(out: &mut [u8]) {
    if getrandom::fill(out).is_err() {
        for chunk in out.chunks_mut(8) {
            let bytes = RandomState::new().build_hasher().finish().to_ne_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition_at_every_length() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..70 {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let expected: Vec<u8> = plain
                .iter()
                .enumerate()
                .map(|(i, b)| b ^ key[i % 4])
                .collect();
            let mut data = plain.clone();
            apply(&mut data, key);
            assert_eq!(data, expected, "length {len}");
            apply(&mut data, key);
            assert_eq!(data, plain);
        }
    }

    #[test]
    fn keys_differ() {
        let keys: std::collections::HashSet<[u8; 4]> = (0..1000).map(|_| random_key()).collect();
        assert!(keys.len() > 990);
    }
}
