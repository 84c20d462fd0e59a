//! Files that are not quite what was saved: what the program accepts, NumPy accepts too, and reads the same values from it.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;

use ndarray::Array3;
use ndarray_npy::{ReadNpyExt as _, ReadableElement};

use crate::support::{
    Float, Folder, Form, PLAIN, assert_result, expected, header, npy, npy_bytes, npz, posterior,
};
use crate::watch::run;

/// How many files.
const MUTATED: usize = 500;

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<'a>(&mut self, bytes: &'a [u8]) -> &'a u8 {
        &bytes[self.below(bytes.len())]
    }
}

/// Files as they are saved: every form that the program reads.
fn originals() -> Vec<(&'static str, Vec<u8>)> {
    let (wide, narrow) = (posterior::<f64>(3, 4, 13), posterior::<f32>(4, 3, 13));
    let form = |version, big_endian, fortran| Form {
        version,
        big_endian,
        fortran,
        ..PLAIN
    };
    let plain = npy(wide.view(), PLAIN);
    let other = npy_bytes(1, 0, &header("'<i8'", false, "(2,)"), &[0; 16]);
    vec![
        ("npy", plain.clone()),
        ("npy", npy(narrow.view(), form(1, false, true))),
        ("npy", npy(narrow.view(), form(2, true, false))),
        ("npy", npy(wide.view(), form(3, false, false))),
        ("npz", npz(&[("p", &plain), ("n", &other)], false)),
        ("npz", npz(&[("n", &other), ("p", &plain)], true)),
    ]
}

/// One or a few changes, most of them where a file says what it holds.
fn mutate(bytes: &mut Vec<u8>, archive: bool, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let length = bytes.len().max(1);
        let (head, tail) = (length.min(140), length.min(260));
        let at = match random.below(4) {
            0 => random.below(length),
            1 if archive => length - 1 - random.below(tail),
            _ => random.below(head),
        };
        match random.below(9) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at] = *random.of(b"\0\xff0129(,)<>|='\"{}[] \nfbiLTFe"),
            3 => bytes.insert(at, *random.of(b"\0 0,'(")),
            4 => {
                bytes.remove(at);
            }
            5 => bytes.truncate(at),
            6 => bytes.extend_from_within(at..length.min(at + 40)),
            7 => {
                let other = random.below(length);
                bytes.swap(at, other);
            }
            _ => {
                // A digit for a digit, where there is one: shapes and types that are well formed, and others.
                if let Some(digit) = bytes[..head].iter().rposition(u8::is_ascii_digit) {
                    bytes[digit] = *random.of(b"0123456789");
                }
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

/// Archives made by hand, to be read in two ways.
fn by_hand() -> Vec<Vec<u8>> {
    let plain = npy(posterior::<f64>(3, 4, 13).view(), PLAIN);
    let other = npy(posterior::<f64>(2, 5, 13).view(), PLAIN);
    let find = |bytes: &[u8], signature: &[u8]| {
        let found = bytes.windows(4).position(|part| part == signature);
        found.expect("the signature")
    };
    let (local, central, end) = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06");
    let mut made = Vec::new();
    for compressed in [false, true] {
        let sound = npz(&[("p", &plain)], compressed);
        // Bytes from a signature on, put in place of what is there.
        let mut patched = |signature: &[u8; 4], offset: usize, new: &[u8]| {
            let mut bytes = sound.clone();
            let at = find(&bytes, signature) + offset;
            bytes[at..at + new.len()].copy_from_slice(new);
            made.push(bytes);
        };
        for (signature, flags, method, crc, sizes, name) in
            [(local, 6, 8, 14, 18, 30), (central, 8, 10, 16, 20, 46)]
        {
            patched(signature, flags, &[1, 0]); // encrypted
            patched(signature, flags, &[8, 0]); // sizes behind the data
            patched(signature, method, &[0, 0]);
            patched(signature, method, &[8, 0]);
            patched(signature, method, &[99, 0]);
            patched(signature, crc, &[1, 2, 3, 4]);
            patched(signature, sizes, &[10, 0, 0, 0]);
            patched(signature, sizes, &[0xff; 4]);
            patched(signature, sizes + 4, &[10, 0, 0, 0]);
            patched(signature, sizes + 4, &[0, 0, 0, 0x7f]);
            patched(signature, name, b"q");
            patched(signature, name, b"/");
        }
        patched(central, 42, &[1, 0, 0, 0]); // where the member is said to begin
        patched(central, 42, &[0xff; 4]);
        patched(end, 8, &[0, 0]); // members on this disk
        patched(end, 10, &[9, 0]); // members in all
        patched(end, 12, &[0; 4]); // length of the directory
        patched(end, 16, &[9, 0, 0, 0]); // where it begins
        patched(end, 20, &[5, 0]); // length of the comment
        let comment = [sound.as_slice(), b"PK\x05\x06 in a comment"].concat();
        made.push(comment);
        made.push([b"something before ", sound.as_slice()].concat());
        made.push([sound.as_slice(), sound.as_slice()].concat());
        // Two archives in one, of which either may be taken.
        let mut two = npz(&[("p", &other)], compressed);
        two.extend_from_slice(&sound);
        made.push(two);
        made.push(npz(&[("p", &plain), ("p_x_given_n", &other)], compressed));
        made.push(npz(&[("p", &plain), ("q", &other)], compressed));
        made.push(npz(&[("../p", &plain)], compressed));
        made.push(npz(&[("", &plain)], compressed));
        made.push(npz(&[("p", &plain[..plain.len() - 8])], compressed));
        made.push(npz(&[("p", b"\x93NUMPY")], compressed));
        made.push(npz(&[], compressed));
    }
    made
}

/// A Python that has NumPy; none is a skip, unless one was named.
#[expect(clippy::print_stderr, reason = "skips are declared")]
fn numpy() -> Option<String> {
    let named = std::env::var("PEAKMASK_TEST_NUMPY").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let has = Command::new(&python)
        .args(["-c", "import numpy"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(has || named.is_none(), "{python} has no NumPy");
    if !has {
        eprintln!("SKIPPED what NumPy reads: no python3 with NumPy");
    }
    has.then_some(python)
}

/// What NumPy says of every file: nothing, or why it refuses it.
fn numpy_reads(folder: &Folder) -> Option<BTreeMap<String, String>> {
    let output = Command::new(numpy()?)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/hostile/numpy_reads.py"
        ))
        .arg(folder.path(""))
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Compares a result with the library's answer for what NumPy has read.
fn assert_same<T: Float + ReadableElement>(folder: &Folder, clean: &str) -> bool {
    let Ok(p) = Array3::<T>::read_npy(File::open(folder.path(clean)).expect("it is there")) else {
        return false;
    };
    let answer = expected(p.view(), &[0.5]);
    assert_result(&folder.path("out.npz"), &[0.5], &answer);
    true
}

#[expect(clippy::print_stdout, reason = "figures of the suite")]
#[test]
fn what_is_accepted_is_what_numpy_reads() {
    let folder = Folder::new();
    let originals = originals();
    let mut random = Random(20_261_126);
    let mut names = Vec::new();
    let mut write = |ending: &str, bytes: &[u8]| {
        let name = format!("m{:03}.{ending}", names.len());
        folder.write(&name, bytes);
        names.push(name);
    };
    for (ending, bytes) in &originals {
        write(ending, bytes);
    }
    for i in 0..MUTATED {
        let (ending, original) = &originals[i % originals.len()];
        let mut bytes = original.clone();
        mutate(&mut bytes, *ending == "npz", &mut random);
        write(ending, &bytes);
    }
    for bytes in by_hand() {
        write("npz", &bytes);
    }
    let numpy = numpy_reads(&folder);
    let before = folder.names();
    // The file that was changed; archives made by hand hold the first one's array.
    let source = |i: usize| match i.checked_sub(originals.len()) {
        Some(i) if i < MUTATED => format!("m{:03}", i % originals.len()),
        _ => "m000".to_owned(),
    };
    let (mut accepted, mut stricter, mut recovered) = (0, 0, 0);
    for (i, name) in names.iter().enumerate() {
        let layout = "--layout xyt --threads 1 --backend cpu --quiet";
        let end = run(folder.command(&format!("run {name} {layout} --alpha 0.5 -o out.npz")));
        assert!(matches!(end.code, Some(0 | 2 | 3)), "{name}: {end:?}");
        assert!(!end.stderr.contains("panicked"), "{name}: {end:?}");
        let reason = numpy.as_ref().map(|numpy| numpy[name].as_str());
        if end.code == Some(0) {
            accepted += 1;
            if let Some(reason) = reason {
                // Python refuses archives with faults around a member that is sound, as its checksum says, or sees no member
                // where the directory lies about its length: what was saved.
                let faults = ["BadZipFile", "NotImplemented", "ValueError: 0 posteriors"];
                let around = faults.iter().any(|fault| reason.starts_with(fault));
                assert!(
                    reason.is_empty() || around && name.ends_with("npz"),
                    "{name} is accepted here, and not by NumPy: {reason}"
                );
                let read = if around {
                    source(i)
                } else {
                    name[..4].to_owned()
                };
                let clean = format!("clean-{read}.npy");
                let same = assert_same::<f64>(&folder, &clean);
                assert!(same || assert_same::<f32>(&folder, &clean), "{name}");
                recovered += usize::from(around);
            }
            std::fs::remove_file(folder.path("out.npz")).expect("the result");
        } else {
            assert_eq!(end.stderr.matches("error:").count(), 1, "{name}: {end:?}");
            stricter += usize::from(reason == Some(""));
        }
        assert_eq!(folder.names(), before, "{name}");
    }
    // Most changes are of values or of spaces in a header, and harmless; few files are refused that NumPy reads.
    assert!(accepted > MUTATED / 5, "{accepted} of {}", names.len());
    assert!(stricter < MUTATED / 10, "{stricter} of {}", names.len());
    assert!(recovered < MUTATED / 10, "{recovered} of {}", names.len());
    println!(
        "{} files: {accepted} accepted, {stricter} refused here alone, {recovered} by Python's archives alone",
        names.len()
    );
}
