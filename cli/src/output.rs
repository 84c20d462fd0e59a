//! Files that appear complete or not at all, and the `.npz` of a result.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf, is_separator};

use bytemuck::{NoUninit, Pod};
use ndarray::ArrayView3;
use peakmask::{Analysis, CancelToken, Element, Level, MaskForm};
use tempfile::NamedTempFile;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::failure::Failure;
use crate::levels::{KIND_TYPE, LEVEL_KIND, columns};
use crate::lists::Lists;
use crate::npy::tuple;
use crate::signals::{self, Unfinished};

/// A file under a temporary name in its final folder; dropped without [`Pending::persist`], or when the program is killed,
/// it vanishes.
pub(crate) struct Pending {
    path: PathBuf,
    file: NamedTempFile<Partial>,
}

struct Partial {
    file: fs::File,
    _unfinished: Unfinished,
}

impl Pending {
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let (target, before) = target(path)?;
        let folder = folder_of(&target);
        let file = tempfile::Builder::new()
            .prefix(".peakmask-")
            .suffix(".partial")
            .make_in(&folder, |path| {
                // Before the file is there, so that it never is without being known.
                let unfinished = Unfinished::new(path);
                // With the mode of any new file, less the user's umask, or that of the file which it replaces.
                let file = fs::File::create_new(path)?;
                Ok(Partial {
                    file,
                    _unfinished: unfinished,
                })
            })
            .and_then(|file| {
                if let Some(before) = before {
                    file.as_file().file.set_permissions(before)?;
                }
                Ok(file)
            })
            .map_err(|error| {
                Failure::output(
                    path,
                    format!(
                        "cannot be written, since the folder {} takes no new file ({error})",
                        folder.display()
                    ),
                )
            })?;
        Ok(Self { path: target, file })
    }

    /// Writes the content.
    pub(crate) fn write(
        &mut self,
        f: impl FnOnce(&mut (dyn WriteSeek + '_)) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut writer = Fused::new(BufWriter::with_capacity(
            1 << 20,
            &mut self.file.as_file_mut().file,
        ));
        let written = f(&mut writer).and_then(|()| writer.flush());
        drop(writer);
        // Some file systems tell that they are full only when asked to store what they took.
        written
            .and_then(|()| self.file.as_file().file.sync_data())
            .map_err(|error| {
                if interrupted(&error) {
                    Failure::Interrupted
                } else {
                    Failure::output(
                        &self.path,
                        format!("cannot be written ({error}); make room, or choose another place"),
                    )
                }
            })
    }

    /// Gives the file its name, unless the user wants to stop.
    pub(crate) fn persist(self) -> Result<(), Failure> {
        persist_all([self])
    }
}

/// Gives all files their names: every one or, as far as that can be known before, none. Where it cannot, the sentence says
/// which have theirs. When it begins it is too late to stop.
pub(crate) fn persist_all(files: impl IntoIterator<Item = Pending>) -> Result<(), Failure> {
    persist_behind(|| Ok(()), files)
}

/// The same when something else, of the same kind, has been done first.
pub(crate) fn persist_behind(
    first: impl FnOnce() -> Result<(), Failure>,
    files: impl IntoIterator<Item = Pending>,
) -> Result<(), Failure> {
    let files: Vec<_> = files.into_iter().collect();
    let refused = |path: &Path, error: &dyn Display, done: &[PathBuf], left: &[PathBuf]| {
        let names = |paths: &[PathBuf]| {
            let names: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            names.join(", ")
        };
        let rest = match (done, left) {
            ([], _) => "nothing was written".to_owned(),
            (done, []) => format!("{} was written before", names(done)),
            (done, left) => format!(
                "{} was written before, {} was not",
                names(done),
                names(left)
            ),
        };
        Failure::output(path, format!("cannot be put in place ({error}); {rest}"))
    };
    for file in &files {
        // A long analysis may have seen the place change.
        if file.path.is_dir() {
            return Err(refused(&file.path, &"there is a folder now", &[], &[]));
        }
    }
    if !signals::commit() {
        return Err(Failure::Interrupted);
    }
    first()?;
    let mut left: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    let mut done = Vec::new();
    for file in files {
        let path = left.remove(0);
        if let Err(error) = file.file.persist(&path) {
            return Err(refused(&path, &error.error, &done, &left));
        }
        done.push(path);
    }
    let folders: BTreeSet<_> = done.iter().map(|path| folder_of(path)).collect();
    for folder in folders {
        // A name outlives a crash of the machine when its folder is stored. Not every system can be asked for that.
        let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
    }
    signals::done();
    Ok(())
}

/// Something to write an archive to.
pub(crate) trait WriteSeek: Write + Seek + Send {}
impl<W: Write + Seek + Send> WriteSeek for W {}

/// A writer that fails once and then takes everything without storing it: an archive that is given up after an error is
/// closed quietly, instead of failing and complaining again.
struct Fused<W> {
    inner: W,
    failed: bool,
    position: u64,
    end: u64,
}

impl<W> Fused<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            failed: false,
            position: 0,
            end: 0,
        }
    }

    /// `f`, until it fails for the first time; from then on what `f` should have returned.
    fn once<R>(&mut self, afterwards: R, f: impl FnOnce(&mut W) -> io::Result<R>) -> io::Result<R> {
        if self.failed {
            return Ok(afterwards);
        }
        let result = f(&mut self.inner);
        self.failed = result
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        result
    }
}

impl<W: Write> Write for Fused<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.once(bytes.len(), |inner| inner.write(bytes))?;
        self.position += written as u64;
        self.end = self.end.max(self.position);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.once((), W::flush)
    }
}

impl<W: Seek> Seek for Fused<W> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let afterwards = match to {
            io::SeekFrom::Start(n) => n,
            io::SeekFrom::Current(n) => self.position.saturating_add_signed(n),
            io::SeekFrom::End(n) => self.end.saturating_add_signed(n),
        };
        self.position = self.once(afterwards, |inner| inner.seek(to))?;
        Ok(self.position)
    }
}

/// The file behind `path`, with its permissions if it is there: where a link leads, not the link, is replaced.
fn target(path: &Path) -> Result<(PathBuf, Option<fs::Permissions>), Failure> {
    let refused = |sentence: &str| Err(Failure::output(path, sentence));
    let unwritable = |error: io::Error| {
        Failure::output(
            path,
            format!("cannot be written ({error}); choose another name"),
        )
    };
    let named_as_folder = path.as_os_str().as_encoded_bytes().last().copied();
    let named_as_folder = named_as_folder.is_some_and(|last| is_separator(char::from(last)));
    let link = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_symlink(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if named_as_folder || path.file_name().is_none() {
                refused("is not the name of a file; give one")
            } else {
                Ok((path.to_owned(), None))
            };
        }
        Err(error) => return Err(unwritable(error)),
    };
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(_) if link => {
            return refused("is a link that leads to no file; remove it, or choose another name");
        }
        Err(error) => return Err(unwritable(error)),
    };
    let metadata = target.metadata().map_err(unwritable)?;
    if metadata.is_file() {
        Ok((target, Some(metadata.permissions())))
    } else {
        refused("is not a regular file; give the name of a file to write")
    }
}

pub(crate) fn folder_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("."),
    }
}

/// Refuses to write one file twice, or over an input.
pub(crate) fn check_distinct(inputs: &[&Path], outputs: &[&Path]) -> Result<(), Failure> {
    let identity = |path: &Path| {
        fs::canonicalize(path).unwrap_or_else(|_| {
            let folder = fs::canonicalize(folder_of(path)).unwrap_or_else(|_| folder_of(path));
            folder.join(path.file_name().unwrap_or_default())
        })
    };
    for (i, &output) in outputs.iter().enumerate() {
        let this = identity(output);
        if inputs.iter().any(|input| identity(input) == this) {
            return Err(Failure::input(
                output,
                "is the input; give the output another name",
            ));
        }
        if outputs[..i].iter().any(|other| identity(other) == this) {
            return Err(Failure::input(
                output,
                "is named for two outputs; give each its own name",
            ));
        }
    }
    Ok(())
}

/// Says that writing ended because the user wanted it to. (`Interrupted` would make `write_all` try again.)
pub(crate) fn interruption() -> io::Error {
    io::Error::other(Stopped)
}

fn interrupted(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(|inner| inner.downcast_ref::<Stopped>().is_some())
}

#[derive(Debug)]
struct Stopped;

impl Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Stopped {}

/// Bytes between two looks at the cancellation token.
const PIECE: usize = 1 << 20;

/// An `.npz` archive in the making. Members are uncompressed, and may exceed 4 GiB.
pub(crate) struct Npz<'a, W: Write + Seek> {
    zip: ZipWriter<W>,
    cancel: &'a CancelToken,
    written: &'a dyn Fn(u64),
}

impl<'a, W: Write + Seek> Npz<'a, W> {
    pub(crate) fn new(writer: W, cancel: &'a CancelToken, written: &'a dyn Fn(u64)) -> Self {
        Self {
            zip: ZipWriter::new(writer),
            cancel,
            written,
        }
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        self.zip.finish().map(|_| ()).map_err(Into::into)
    }

    /// Starts a member and writes its header; its values follow.
    pub(crate) fn member(&mut self, key: &str, descr: &str, shape: &[usize]) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .large_file(true);
        self.zip.start_file(format!("{key}.npy"), options)?;
        self.zip.write_all(&header(descr, shape))
    }

    /// Writes a member of one word.
    fn word(&mut self, key: &str, word: &str) -> io::Result<()> {
        self.member(key, &format!("|S{}", word.len()), &[])?;
        self.values(word.as_bytes())
    }

    pub(crate) fn values<T: NoUninit>(&mut self, values: &[T]) -> io::Result<()> {
        for piece in bytemuck::must_cast_slice::<T, u8>(values).chunks(PIECE) {
            if self.cancel.is_cancelled() {
                return Err(interruption());
            }
            self.zip.write_all(piece)?;
            (self.written)(piece.len() as u64);
        }
        Ok(())
    }

    /// A mask, row by row: without a copy where it lies in C order, as the library returns it.
    fn mask<A: NoUninit>(&mut self, mask: ArrayView3<'_, A>) -> io::Result<()> {
        match mask.as_slice() {
            Some(values) => self.values(values),
            None => mask
                .rows()
                .into_iter()
                .try_for_each(|row| self.values(&row.to_vec())),
        }
    }
}

/// The header of a `.npy` file, format version 1: padded so that the data start at a multiple of 64.
pub(crate) fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': {}, }}",
        tuple(shape)
    );
    let length = (10 + text.len() + 1).next_multiple_of(64);
    sized_header(&text, length)
}

/// A `.npy` header that has the same length for every column, so that it can be written anew when its rows have been counted.
pub(crate) fn column_header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let header = header(descr, shape);
    let text = String::from_utf8_lossy(&header[10..]);
    sized_header(text.trim_end(), COLUMN_HEADER)
}

/// Bytes of a [`column_header`]: two numbers of rows and columns are never longer.
const COLUMN_HEADER: usize = 128;

fn sized_header(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&((length - 10) as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// This machine's name for a type of `size` bytes.
pub(crate) fn native(kind: char, size: usize) -> String {
    let order = if cfg!(target_endian = "little") {
        '<'
    } else {
        '>'
    };
    format!("{order}{kind}{size}")
}

/// The shape of all masks together; those of a track have one axis of positions.
pub(crate) fn mask_shape(track: bool, alphas: usize, [n_x, n_y, n_t]: [usize; 3]) -> Vec<usize> {
    match track {
        false => vec![alphas, n_x, n_y, n_t],
        true => vec![alphas, n_x, n_t],
    }
}

/// The only coordinate of a track's cells.
pub(crate) fn along_track(coords: &[[i64; 2]]) -> Vec<i64> {
    coords.iter().map(|&[x, _]| x).collect()
}

/// Bytes of values in the archive that [`write_npz`] makes.
pub(crate) fn npz_bytes<T: Element>(analysis: &Analysis<T>) -> u64 {
    let booleans = analysis.masks.iter().map(ndarray::Array3::len);
    let packed = analysis
        .packed
        .iter()
        .flatten()
        .map(|mask| mask.bits().len());
    let sparse = analysis.sparse.iter().flatten();
    let sparse = sparse.map(|mask| 8 * mask.offsets.len() + 4 * mask.cells.len());
    let masks: usize = booleans.chain(packed).chain(sparse).sum();
    let peaks = analysis.peaks.len() * (16 + 2 * size_of::<T>());
    (masks + peaks + 8 * (analysis.peaks.offsets.len() + analysis.masks.len())) as u64
}

/// What an archive calls itself, by which Python's `peakmask.load` knows it.
const FORMAT: &str = "peakmask run 1";

/// Writes a result, or that of a `track`, as an archive that `numpy.load` reads, and `peakmask.load`; calls `written` with the
/// number of bytes after each piece.
pub(crate) fn write_npz<T: Element + Pod>(
    writer: &mut (dyn WriteSeek + '_),
    (track, shape, form, choices): (bool, [usize; 3], MaskForm, &[(&str, String)]),
    levels: &[Level],
    analysis: &Analysis<T>,
    lists: &Lists<'_, T>,
    cancel: &CancelToken,
    written: &dyn Fn(u64),
) -> io::Result<()> {
    let (f8, i8) = (native('f', 8), native('i', 8));
    let float = native('f', size_of::<T>());
    let [n_x, n_y, n_t] = shape;
    let peaks = &analysis.peaks;
    let masks = |n_t: usize| mask_shape(track, levels.len(), [n_x, n_y, n_t]);
    let mut npz = Npz::new(writer, cancel, written);
    if let Some(packed) = &analysis.packed {
        npz.member("packed", "|u1", &masks(n_t.div_ceil(8)))?;
        for mask in packed {
            npz.mask(mask.bits())?;
        }
    } else if let Some(sparse) = &analysis.sparse {
        for (level, mask) in sparse.iter().enumerate() {
            npz.member(&format!("mask_offsets_{level}"), &i8, &[mask.offsets.len()])?;
            npz.values(&mask.offsets)?;
            let cells = native('u', size_of::<u32>());
            npz.member(&format!("mask_cells_{level}"), &cells, &[mask.cells.len()])?;
            npz.values(&mask.cells)?;
        }
    } else if form == MaskForm::Bytes {
        npz.member("masks", "|b1", &masks(n_t))?;
        for mask in &analysis.masks {
            npz.mask(mask.view())?;
        }
    }
    let (numbers, kinds) = columns(levels);
    npz.member("alpha", &f8, &[levels.len()])?;
    npz.values(&numbers)?;
    if let Some(kinds) = kinds {
        npz.member(LEVEL_KIND, KIND_TYPE, &[levels.len()])?;
        npz.values(&kinds)?;
    }
    npz.member("peak_offsets", &i8, &[peaks.offsets.len()])?;
    npz.values(&peaks.offsets)?;
    npz.member(
        "peak_coords",
        &i8,
        &[peaks.coords.len(), 2 - usize::from(track)],
    )?;
    match track {
        false => npz.values(&peaks.coords)?,
        true => npz.values(&along_track(&peaks.coords))?,
    }
    npz.member("prominences", &float, &[peaks.prominences.len()])?;
    npz.values(&peaks.prominences)?;
    npz.member("peak_heights", &float, &[peaks.heights.len()])?;
    npz.values(&peaks.heights)?;
    lists.write(&mut npz, track)?;
    npz.word("format", FORMAT)?;
    npz.member("shape", &i8, &[3])?;
    npz.values(&shape.map(|n| n as i64))?;
    for (name, choice) in choices {
        npz.word(name, choice)?;
    }
    npz.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_put_in_place_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let files: Vec<_> = ["a", "b", "c"]
            .map(|name| Pending::create(&folder.path().join(name)).expect("a file"))
            .into();
        fs::remove_file(files[1].file.path()).expect("it is there");
        let failure = persist_all(files).expect_err("one is gone").to_string();
        let place = |name| folder.path().join(name).display().to_string();
        assert!(
            failure.starts_with(&format!("{}: cannot be put in place", place("b"))),
            "{failure}"
        );
        assert!(
            failure.ends_with(&format!(
                "{} was written before, {} was not",
                place("a"),
                place("c")
            )),
            "{failure}"
        );
        let names = fs::read_dir(folder.path()).expect("the folder").flatten();
        assert!(names.map(|entry| entry.file_name()).eq(["a"]));
    }

    #[test]
    fn headers_end_at_a_multiple_of_64() {
        for shape in [&[][..], &[7], &[2, 41, 63, 100_000], &[usize::MAX; 4]] {
            let bytes = header("<f8", shape);
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(bytes.last(), Some(&b'\n'));
        }
    }

    /// A file of which only the writes that matter are kept: long runs of one value are counted, not stored.
    #[derive(Default)]
    struct Sparse {
        bytes: std::collections::BTreeMap<u64, Vec<u8>>,
        position: u64,
        end: u64,
    }

    impl Write for Sparse {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() < PIECE {
                self.bytes.insert(self.position, bytes.to_vec());
            }
            self.position += bytes.len() as u64;
            self.end = self.end.max(self.position);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Sparse {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.position = match to {
                io::SeekFrom::Start(n) => n,
                io::SeekFrom::Current(n) => self
                    .position
                    .checked_add_signed(n)
                    .ok_or(io::ErrorKind::InvalidInput)?,
                io::SeekFrom::End(n) => self
                    .end
                    .checked_add_signed(n)
                    .ok_or(io::ErrorKind::InvalidInput)?,
            };
            Ok(self.position)
        }
    }

    impl Sparse {
        fn at(&self, offset: u64, length: usize) -> Vec<u8> {
            let mut found = vec![0; length];
            for (&start, bytes) in &self.bytes {
                for (i, &byte) in bytes.iter().enumerate() {
                    let position = start + i as u64;
                    if position >= offset && position < offset + length as u64 {
                        found[(position - offset) as usize] = byte;
                    }
                }
            }
            found
        }
    }

    #[test]
    fn members_beyond_4_gib_are_zip64() {
        let mut file = Sparse::default();
        let cancel = CancelToken::new();
        let piece = vec![0_u8; PIECE];
        let pieces = 4097_u64;
        {
            let mut npz = Npz {
                zip: ZipWriter::new(&mut file),
                cancel: &cancel,
                written: &|_| {},
            };
            npz.member("masks", "|b1", &[pieces as usize * PIECE])
                .expect("start");
            for _ in 0..pieces {
                npz.values(&piece).expect("values");
            }
            npz.zip.finish().expect("finish");
        }
        let size = pieces * PIECE as u64 + header("|b1", &[pieces as usize * PIECE]).len() as u64;
        assert!(size > 1 << 32);
        let local = file.at(0, 64);
        assert_eq!(local[..4], *b"PK\x03\x04");
        let name = u16::from_le_bytes([local[26], local[27]]) as usize;
        assert_eq!(
            local[18..26],
            [0xFF; 8],
            "both 32-bit sizes point to the extra field"
        );
        assert_eq!(
            local[30 + name..][..4],
            [1, 0, 16, 0],
            "the extra field is zip64's"
        );
        for field in [4, 12] {
            let bytes: [u8; 8] = local[30 + name + field..][..8]
                .try_into()
                .expect("eight bytes");
            assert_eq!(u64::from_le_bytes(bytes), size);
        }
        assert_eq!(
            file.at(file.end - 42, 4),
            *b"PK\x06\x07",
            "a zip64 locator leads to the directory"
        );
        assert_eq!(file.at(file.end - 22, 4), *b"PK\x05\x06");
    }
}
