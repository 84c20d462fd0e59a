//! A folder with files in it, arrays as NumPy writes them, and the program itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ndarray::{Array3, Array4, ArrayView3};
use ndarray_npy::NpzReader;
use peakmask::{Analysis, Backend, Element, Options};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What the program said and did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_peakmask");

/// A folder of its own for a test; relative paths lie in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file is written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Names of all files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder is there");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// The program with the words of a command line.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = self.here(PROGRAM);
        command.args(words.split_whitespace());
        command
    }

    /// A shell's script, in which the program is `"$0"`.
    #[cfg(unix)]
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = self.here("sh");
        command.args(["-c", script, PROGRAM]);
        command
    }

    /// A command in this folder, whatever the environment of the tests says about GPUs.
    fn here(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env_remove("PEAKMASK_ADAPTER")
            .env_remove("PEAKMASK_GPU")
            // A layer of Mesa's, which complains on the standard error where there is no desktop.
            .env("NODEVICE_SELECT", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program with the words of a command line and these variables in the environment.
    fn run(&self, words: &str, environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(words);
        command.envs(environment.iter().copied());
        outcome(command)
    }

    /// Runs the program, which must succeed.
    pub(crate) fn succeed(&self, words: &str) -> Outcome {
        self.succeed_where(&[], words)
    }

    /// Runs the program in an environment in which it must succeed.
    pub(crate) fn succeed_where(&self, environment: &[(&str, &str)], words: &str) -> Outcome {
        let outcome = self.run(words, environment);
        assert_eq!(outcome.code, Some(0), "{words}: {}", outcome.stderr);
        outcome
    }

    /// Runs the program, which must fail with this code and one sentence that holds these words, and leave no file.
    pub(crate) fn fail(&self, words: &str, code: i32, expected: &[&str]) -> Outcome {
        self.fail_where(&[], words, code, expected)
    }

    /// Runs the program in an environment in which it must fail.
    pub(crate) fn fail_where(
        &self,
        environment: &[(&str, &str)],
        words: &str,
        code: i32,
        expected: &[&str],
    ) -> Outcome {
        let before = self.names();
        let outcome = self.run(words, environment);
        assert_eq!(outcome.code, Some(code), "{words}: {}", outcome.stderr);
        for word in expected {
            assert!(
                outcome.stderr.contains(word),
                "{words}: '{word}' is not in: {}",
                outcome.stderr
            );
        }
        assert_eq!(
            outcome.stderr.matches("error:").count(),
            1,
            "{words}: {}",
            outcome.stderr
        );
        assert!(
            !outcome.stderr.contains("panicked"),
            "{words}: {}",
            outcome.stderr
        );
        assert_eq!(self.names(), before, "{words}: files were left");
        outcome
    }

    /// An archive of arrays.
    pub(crate) fn archive(&self, name: &str) -> NpzReader<File> {
        NpzReader::new(File::open(self.path(name)).expect("it is there")).expect("an archive")
    }

    /// A JSON file.
    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(name)).expect("valid JSON")
    }
}

impl Outcome {
    /// Compares how the lines of the standard error begin.
    pub(crate) fn said(&self, beginnings: &[&str]) {
        let lines: Vec<_> = self.stderr.lines().collect();
        for (line, word) in lines.iter().zip(beginnings) {
            assert!(line.starts_with(word), "{line} is not {word}");
        }
        assert_eq!(lines.len(), beginnings.len(), "{}", self.stderr);
    }
}

pub(crate) fn outcome(mut command: Command) -> Outcome {
    let output = command.output().expect("the program starts");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// How an array lies in a `.npy` file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    pub(crate) version: u8,
    pub(crate) big_endian: bool,
    pub(crate) fortran: bool,
    pub(crate) txy: bool,
    /// Where the data begin, less the next multiple of 64.
    pub(crate) shift: usize,
}

pub(crate) const PLAIN: Form = Form {
    version: 1,
    big_endian: false,
    fortran: false,
    txy: false,
    shift: 0,
};

/// A `.npy` file with any header and any bytes.
pub(crate) fn npy_bytes(version: u8, shift: usize, header: &str, data: &[u8]) -> Vec<u8> {
    let width = if version == 1 { 2 } else { 4 };
    let length = (8 + width + header.len() + 1).next_multiple_of(64) + shift - 8 - width;
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend_from_slice(&[version, 0]);
    bytes.extend_from_slice(&(length as u32).to_le_bytes()[..width]);
    bytes.extend_from_slice(format!("{header:<0$}\n", length - 1).as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A header as NumPy writes it.
pub(crate) fn header(descr: &str, fortran: bool, shape: &str) -> String {
    let fortran = if fortran { "True" } else { "False" };
    format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}")
}

/// A `(t, x, y)` file of zeros that takes no room on the disk.
pub(crate) fn zeros(folder: &Folder, n_x: usize, n_y: usize, n_t: usize) {
    let header = header("'<f4'", false, &format!("({n_t}, {n_x}, {n_y})"));
    let start = npy_bytes(1, 0, &header, &[]);
    let length = start.len() + n_x * n_y * n_t * 4;
    folder.write("in.npy", &start);
    let file = File::options()
        .write(true)
        .open(folder.path("in.npy"))
        .expect("the input");
    file.set_len(length as u64).expect("a file with a hole");
}

/// The element types of a posterior, as bytes.
pub(crate) trait Float: Element + Into<f64> {
    const LETTER: &'static str;
    fn bytes(self, big_endian: bool) -> Vec<u8>;
    fn from_f64(value: f64) -> Self;
}

macro_rules! float {
    ($type:ty, $letter:literal) => {
        impl Float for $type {
            const LETTER: &'static str = $letter;
            fn bytes(self, big_endian: bool) -> Vec<u8> {
                if big_endian {
                    self.to_be_bytes().to_vec()
                } else {
                    self.to_le_bytes().to_vec()
                }
            }
            fn from_f64(value: f64) -> Self {
                value as Self
            }
        }
    };
}
float!(f64, "f8");
float!(f32, "f4");

/// A `.npy` file of `P[x, y, t]`.
pub(crate) fn npy<T: Float>(p: ArrayView3<'_, T>, form: Form) -> Vec<u8> {
    let stored = if form.txy {
        p.permuted_axes([2, 0, 1])
    } else {
        p
    };
    let (a, b, c) = stored.dim();
    let in_order = if form.fortran {
        stored.reversed_axes()
    } else {
        stored
    };
    let data: Vec<u8> = in_order
        .iter()
        .flat_map(|value| value.bytes(form.big_endian))
        .collect();
    let descr = format!("'{}{}'", if form.big_endian { '>' } else { '<' }, T::LETTER);
    npy_bytes(
        form.version,
        form.shift,
        &header(&descr, form.fortran, &format!("({a}, {b}, {c})")),
        &data,
    )
}

/// An `.npz` file of members that are already `.npy` files.
pub(crate) fn npz(members: &[(&str, &[u8])], compressed: bool) -> Vec<u8> {
    let method = if compressed {
        CompressionMethod::Deflated
    } else {
        CompressionMethod::Stored
    };
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(
            format!("{name}.npy"),
            SimpleFileOptions::default().compression_method(method),
        )
        .expect("start");
        zip.write_all(bytes).expect("write");
    }
    zip.finish().expect("finish").into_inner()
}

/// Smooth bumps with noise, a NaN bin, a constant bin, a bin of zeros and -inf, and plateaus.
pub(crate) fn posterior<T: Float>(n_x: usize, n_y: usize, n_t: usize) -> Array3<T> {
    let mut state = 7_u64;
    let mut noise = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    Array3::from_shape_fn((n_x, n_y, n_t), |(x, y, t)| {
        let (dx, dy) = (
            x as f64 - (t % (n_x + 1)) as f64,
            y as f64 - (t * 3 % (n_y + 1)) as f64,
        );
        let bump = (-(dx * dx + dy * dy) / 8.0).exp() + 0.2 * noise();
        T::from_f64(match t % 11 {
            5 => 0.25,
            6 if (x, y) == (0, 0) => f64::NAN,
            7 => (bump * 4.0).round(),
            8 => bump.ln(),
            9 if x == 0 => f64::NEG_INFINITY,
            _ => bump,
        })
    })
}

/// What the library says.
pub(crate) fn expected<T: Float>(p: ArrayView3<'_, T>, alphas: &[f64]) -> Analysis<T> {
    let options = Options::new().backend(Backend::Cpu);
    peakmask::analyze(p, &options.alphas(alphas.iter().copied())).expect("the library accepts it")
}

/// Compares a result file, read by a library that the program does not use, with the library's answer, to the bit.
pub(crate) fn assert_result<T: Float + ndarray_npy::ReadableElement>(
    path: &Path,
    alphas: &[f64],
    expected: &Analysis<T>,
) {
    let mut file =
        NpzReader::new(File::open(path).expect("the result is there")).expect("an archive");
    let names = file.names().expect("names");
    assert_eq!(
        names
            .iter()
            .map(|name| name.trim_end_matches(".npy"))
            .collect::<Vec<_>>(),
        [
            "masks",
            "alpha",
            "peak_offsets",
            "peak_coords",
            "prominences",
            "peak_heights",
            // What Python's `peakmask.load` reads, too.
            "format",
            "shape",
            "form",
            "connectivity",
            "prominence",
            "region",
            "nan_policy"
        ]
    );
    let shape: ndarray::Array1<i64> = file.by_name("shape").expect("shape");
    let (n_x, n_y) = expected.masks.first().map_or_else(
        || (shape[0] as usize, shape[1] as usize),
        |mask| (mask.dim().0, mask.dim().1),
    );
    let n_t = expected.peaks.n_bins();
    assert_eq!(shape.to_vec(), [n_x, n_y, n_t].map(|n| n as i64));
    let bytes = fs::read(path).expect("the archive");
    for (word, descr) in [("peakmask run 1", "'|S14'"), ("dominant", "'|S8'")] {
        // A header ends in the end of a line, and the word follows.
        let word = format!("\n{word}");
        let at = bytes
            .windows(word.len())
            .position(|found| found == word.as_bytes())
            .unwrap_or_else(|| panic!("{word:?} is not there"));
        let header = String::from_utf8_lossy(&bytes[at - 118..at]).into_owned();
        assert!(header.contains(&format!("'descr': {descr}")), "{header}");
        assert!(header.contains("'shape': ()"), "{header}");
    }
    let masks: Array4<bool> = file.by_name("masks").expect("masks");
    assert_eq!(masks.len_of(ndarray::Axis(0)), alphas.len());
    for (found, mask) in masks.outer_iter().zip(&expected.masks) {
        assert_eq!(found, mask);
    }
    let peaks = &expected.peaks;
    let alpha: ndarray::Array1<f64> = file.by_name("alpha").expect("alpha");
    assert_eq!(bits(alpha.iter()), bits(alphas));
    let offsets: ndarray::Array1<i64> = file.by_name("peak_offsets").expect("peak_offsets");
    assert_eq!(offsets.to_vec(), peaks.offsets);
    let coords: ndarray::Array2<i64> = file.by_name("peak_coords").expect("peak_coords");
    assert_eq!(
        coords.iter().copied().collect::<Vec<_>>(),
        peaks.coords.as_flattened()
    );
    assert_eq!(coords.dim(), (peaks.len(), 2));
    let prominences: ndarray::Array1<T> = file.by_name("prominences").expect("prominences");
    assert_eq!(bits(&prominences), bits(&peaks.prominences));
    let heights: ndarray::Array1<T> = file.by_name("peak_heights").expect("peak_heights");
    assert_eq!(bits(&heights), bits(&peaks.heights));
}

fn bits<'a, T: Float>(values: impl IntoIterator<Item = &'a T>) -> Vec<Vec<u8>> {
    values.into_iter().map(|value| value.bytes(false)).collect()
}

/// Width and height of a PNG file that decodes.
pub(crate) fn png_size(bytes: &[u8]) -> (u32, u32) {
    let (width, height, _) = pixels(bytes);
    (width, height)
}

/// Width, height and RGB bytes of a PNG file.
pub(crate) fn pixels(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .expect("a PNG file");
    let mut rgb = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut rgb).expect("pixels");
    (info.width, info.height, rgb)
}
