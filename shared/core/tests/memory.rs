//! Memory that contained keys and tokens in plain text is wiped before it is freed. These tests search the memory of
//! their own process, as a core dump would contain it. They keep the searched bytes masked, so that they do not find
//! their own copy.

// The tests read /proc, which only Linux has.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs::File, os::unix::fs::FileExt, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use digime::{Contract, ambient::Ambient};
use reauth_core::{keyring::Keyring, webhook};
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

const MASK: u8 = 0xa5;

/// Whether the bytes, which are passed masked, occur anywhere in the writable memory of this process.
fn stands_in_memory(masked: &[u8]) -> bool {
    let (maps, memory) = (std::fs::read_to_string("/proc/self/maps").unwrap(), File::open("/proc/self/mem").unwrap());
    let mut chunk = vec![0; 1 << 16];
    let own = chunk.as_ptr() as u64..chunk.as_ptr() as u64 + chunk.len() as u64;
    let mut found = false;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [mut at, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(chunk.len());
            let next = at + length as u64;
            // Memory that cannot be read, such as the kernel's pages, is skipped. So are matches in the buffer itself.
            if memory.read_exact_at(&mut chunk[..length], at).is_ok() {
                found |= positions(&chunk[..length], masked).any(|position| !own.contains(&(at + position as u64)));
            }
            // The chunks overlap, because a match may cross the border between two chunks.
            at = if next < end { next - masked.len() as u64 } else { next };
        }
    }
    chunk.zeroize();
    found
}

fn positions<'a>(bytes: &'a [u8], masked: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let first = masked[0] ^ MASK;
    let starts = bytes.iter().enumerate().filter(move |(_, byte)| **byte == first).map(|(position, _)| position);
    starts.filter(move |start| {
        let rest = bytes.get(*start..*start + masked.len());
        rest.is_some_and(|rest| rest.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked))
    })
}

/// Decodes a line of base64 and masks it immediately.
fn decode_masked(line: &str) -> Vec<u8> {
    let mut decoded = Zeroizing::new([0; 48]);
    let length = STANDARD.decode_slice(line, &mut *decoded).unwrap();
    decoded[..length].iter().map(|byte| byte ^ MASK).collect()
}

#[test]
fn a_decoded_private_key_is_wiped() {
    let made = Command::new("openssl").args(["genrsa", "-traditional", "2048"]).output().unwrap();
    let pem = SecretString::from(String::from_utf8(made.stdout).unwrap());
    // After the modulus: a part of the private exponent.
    let masked = decode_masked(pem.expose_secret().lines().nth(10).unwrap());
    let contract = Contract::new("application", "contract".parse().unwrap(), &pem).unwrap();
    assert!(!stands_in_memory(&masked), "what signs holds it in another form");
    drop(contract);
    let found = Zeroizing::new(masked.iter().map(|byte| byte ^ MASK).collect::<Vec<_>>());
    assert!(stands_in_memory(&masked), "what is there is found: {}", found.len());
}

#[test]
fn an_opened_value_is_wiped() {
    let keyring = Keyring::new(&"a".repeat(32).into(), None).unwrap();
    let masked: Vec<u8> = (0..64_u8).map(|number| (b'0' + number) ^ MASK).collect();
    // The secret is in the middle of a longer text, because the allocator overwrites the ends of freed memory with its
    // own lists.
    let around = || std::iter::repeat_n('-', 2_000);
    let secret = masked.iter().map(|byte| char::from(byte ^ MASK));
    let mut clear = Zeroizing::new(String::with_capacity(5_000));
    clear.extend(around().chain(secret).chain(around()));
    let sealed = keyring.seal("here", &clear, &Ambient::system());
    drop(clear);
    let opened = keyring.open("here", &sealed).unwrap();
    assert!(stands_in_memory(&masked), "what is there is found");
    assert_eq!(opened.expose_secret().len(), 4_000 + masked.len());
    drop(opened);
    assert!(!stands_in_memory(&masked));
}

/// The key of these bytes in base64, and the bytes after the first 16, masked: the allocator overwrites the beginning of
/// freed memory with its own lists.
fn key(prefix: &str, bytes: impl Iterator<Item = u8>) -> (String, Vec<u8>) {
    let clear = Zeroizing::new(bytes.collect::<Vec<_>>());
    (format!("{prefix}{}", STANDARD.encode(&*clear)), clear[16..].iter().map(|byte| byte ^ MASK).collect())
}

#[test]
fn the_keys_of_a_webhook_are_wiped() {
    let (shared, masked_shared) = key("whsec_", (0..64).map(|number| 3 * number + 1));
    let (private, masked_private) = key("whsk_", (0..32).map(|number| 251 - 5 * number));
    let secret = SecretString::from(format!("{shared} {private}"));
    // The keys are decoded, used for the public key, and dropped.
    assert!(webhook::public_key(&secret).unwrap().starts_with("whpk_"));
    for masked in [masked_shared, masked_private] {
        assert!(!stands_in_memory(&masked));
        let found = Zeroizing::new(masked.iter().map(|byte| byte ^ MASK).collect::<Vec<_>>());
        assert!(stands_in_memory(&masked), "what is there is found: {}", found.len());
    }
}
