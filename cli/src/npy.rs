//! Arrays as NumPy stores them: `.npy` files and the members of `.npz` files, found and mapped, not yet read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use py_literal::Value;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::failure::Failure;
#[cfg(unix)]
use crate::signals;

/// The element type of an array, as its header gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Descr {
    /// One number or string an element: byte order (`<`, `>`, `|`), kind (`f`, `i`, ...) and size.
    Plain {
        order: char,
        kind: char,
        size: usize,
    },
    /// A structured type.
    Record,
}

impl Descr {
    /// NumPy's name of the type.
    pub(crate) fn name(&self) -> String {
        let Self::Plain { kind, size, .. } = *self else {
            return "structured".to_owned();
        };
        let bits = size.saturating_mul(8);
        match kind {
            'b' => "bool".to_owned(),
            'i' => format!("int{bits}"),
            'u' => format!("uint{bits}"),
            'f' => format!("float{bits}"),
            'c' => format!("complex{bits}"),
            'O' => "object".to_owned(),
            'U' => "unicode".to_owned(),
            'S' | 'a' => "bytes".to_owned(),
            'm' => "timedelta64".to_owned(),
            'M' => "datetime64".to_owned(),
            other => format!("{other}{size}"),
        }
    }

    /// Whether values are stored in the other byte order than this machine's.
    pub(crate) fn swapped(&self) -> bool {
        let foreign = if cfg!(target_endian = "little") {
            '>'
        } else {
            '<'
        };
        matches!(self, Self::Plain { order, size, .. } if *order == foreign && *size > 1)
    }

    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => {
                if text.contains(',') {
                    return Some(Self::Record);
                }
                let mut letters = text.chars();
                let (order, kind) = (letters.next()?, letters.next()?);
                let rest = letters.as_str();
                let digits = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                let (number, unit) = rest.split_at(digits);
                // Times alone have a unit behind their size, as in `M8[ns]`.
                let is_unit = unit.starts_with('[') && unit.ends_with(']');
                let expected = unit.is_empty() || is_unit && "mM".contains(kind);
                if !expected {
                    return None;
                }
                let size = if number.is_empty() {
                    0
                } else {
                    number.parse().ok()?
                };
                ("<>|=".contains(order) && kind.is_ascii_alphabetic()).then_some(Self::Plain {
                    order,
                    kind,
                    size,
                })
            }
            Value::List(_) | Value::Tuple(_) => Some(Self::Record),
            _ => None,
        }
    }
}

/// What the header of an array says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) descr: Descr,
    pub(crate) fortran_order: bool,
    pub(crate) shape: Vec<usize>,
    /// Bytes before the data.
    length: usize,
}

/// NumPy itself reads headers of up to 10,000 characters; those of plain arrays take 118.
const LONGEST_HEADER: usize = 1 << 16;

/// The parser recurses into brackets; a plain array needs one level, a structured type a few.
const DEEPEST_HEADER: usize = 32;

impl Header {
    /// Reads a header, of format version 1, 2 or 3, and leaves the reader at the data.
    ///
    /// The literal is parsed directly, since the `.npy` libraries multiply the shape without a check.
    fn read(reader: &mut dyn Read) -> Result<Self, String> {
        let mut take = |bytes: &mut [u8]| {
            reader
                .read_exact(bytes)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        "is truncated: it ends inside the array's header; copy or save it again"
                            .to_owned()
                    }
                    _ => format!("cannot be read ({error})"),
                })
        };
        let mut start = [0; 8];
        take(&mut start)?;
        let [magic @ .., major, minor] = start;
        if magic != *MAGIC {
            return Err(
                "is not an array in NumPy's .npy format; save it with numpy.save or numpy.savez"
                    .to_owned(),
            );
        }
        let (width, utf8) = match (major, minor) {
            (1, 0) => (2, false),
            (2, 0) => (4, false),
            (3, 0) => (4, true),
            _ => {
                return Err(format!(
                    "has .npy format version {major}.{minor}, but peakmask knows versions 1.0, 2.0 and 3.0; save it with numpy.save"
                ));
            }
        };
        let mut field = [0; 4];
        take(&mut field[..width])?;
        let text_length = u32::from_le_bytes(field) as usize;
        if text_length > LONGEST_HEADER {
            return Err(format!(
                "has a header of {text_length} bytes, more than any array of numbers needs; save it again with numpy.save"
            ));
        }
        let mut text = vec![0; text_length];
        take(&mut text)?;
        let text = if utf8 {
            String::from_utf8_lossy(&text).into_owned()
        } else {
            text.iter().copied().map(char::from).collect()
        };
        let length = start.len() + width + text_length;
        Self::parse(&text, length).ok_or_else(|| {
            "has a header that is not NumPy's; save it again with numpy.save".to_owned()
        })
    }

    fn parse(text: &str, length: usize) -> Option<Self> {
        let deepest = text.bytes().scan(0_usize, |depth, byte| {
            match byte {
                b'(' | b'[' | b'{' => *depth += 1,
                b')' | b']' | b'}' => *depth = depth.saturating_sub(1),
                _ => {}
            }
            Some(*depth)
        });
        if deepest.max()? > DEEPEST_HEADER {
            return None;
        }
        let dictionary = text.trim_end().parse::<Value>().ok()?;
        let entries = dictionary.as_dict()?;
        // Three keys, each of them once: of two with one name, readers of the file would take different ones.
        let [_, _, _] = entries.as_slice() else {
            return None;
        };
        let entry = |name: &str| {
            let found = entries
                .iter()
                .find(|(key, _)| key.as_string().is_some_and(|key| key == name));
            found.map(|(_, value)| value)
        };
        let Value::Tuple(shape) = entry("shape")? else {
            return None;
        };
        Some(Self {
            descr: Descr::parse(entry("descr")?)?,
            fortran_order: entry("fortran_order")?.as_boolean()?,
            shape: shape
                .iter()
                .map(|n| n.as_integer()?.try_into().ok())
                .collect::<Option<_>>()?,
            length,
        })
    }

    /// Bytes of the data, if that many can exist.
    pub(crate) fn data_bytes(&self) -> Option<usize> {
        let Descr::Plain { size, .. } = self.descr else {
            return None;
        };
        // The non-zero lengths alone must fit as well: an array without elements still has strides.
        let full = self
            .shape
            .iter()
            .filter(|&&n| n > 0)
            .try_fold(size, |product, &n| product.checked_mul(n))?;
        let bytes = if self.shape.contains(&0) { 0 } else { full };
        (full <= isize::MAX as usize).then_some(bytes)
    }

    /// Type and shape, as in `float64 (41, 63, 800)`.
    fn summary(&self) -> String {
        format!("{} {}", self.descr.name(), tuple(&self.shape))
    }
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A shape as Python prints it.
pub(crate) fn tuple(shape: &[usize]) -> String {
    let lengths: Vec<_> = shape.iter().map(ToString::to_string).collect();
    match lengths.as_slice() {
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    }
}

/// A file mapped into memory.
#[derive(Debug, Clone)]
struct Map(Arc<Mmap>);

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

type Archive = ZipArchive<Cursor<Map>>;

/// An open `.npy` or `.npz` file.
pub(crate) struct ArrayFile {
    path: PathBuf,
    map: Map,
    archive: Option<Archive>,
}

impl ArrayFile {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let unusable = |sentence: &str| Failure::input(path, sentence);
        let mut reading = File::options();
        reading.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // A pipe without a writer is found out to be none of ours, not waited for.
            reading.custom_flags(libc::O_NONBLOCK);
        }
        let file = reading.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unusable("no such file; check the path"),
            _ => unusable(&format!("cannot be opened ({error})")),
        })?;
        let metadata = file
            .metadata()
            .map_err(|error| unusable(&format!("cannot be opened ({error})")))?;
        if !metadata.is_file() {
            return Err(unusable("is not a regular file; give a .npy or .npz file"));
        }
        if metadata.len() == 0 {
            return Err(unusable("is empty; copy or save it again"));
        }
        #[expect(
            unsafe_code,
            reason = "a memory map is the only way to read a file that is larger than memory in place"
        )]
        // SAFETY: the map is read-only and private to this process. That nobody changes the file meanwhile is asked of
        // the user in the help text; every byte of it is a valid value of every type that it is read as.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => Failure::Memory(format!(
                "{}: cannot be mapped into memory ({error}); allow the process a larger address space (ulimit -v)",
                path.display()
            )),
            _ => unusable(&format!("cannot be mapped into memory ({error})")),
        })?;
        #[cfg(unix)]
        signals::watch_mapping(
            &map,
            &unusable(
                "cannot be read any more: it was cut short meanwhile, or its disk failed; nothing was written",
            ),
        );
        let map = Map(Arc::new(map));
        let archive = match map.as_ref() {
            bytes if bytes.starts_with(MAGIC) || MAGIC.starts_with(bytes) => None,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => {
                Some(ZipArchive::new(Cursor::new(map.clone())).map_err(|error| {
                    unusable(&format!(
                        "is truncated or damaged ({error}); copy or save it again"
                    ))
                })?)
            }
            _ => {
                return Err(unusable(
                    "is neither a .npy nor an .npz file; save the array with numpy.save or numpy.savez",
                ));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            map,
            archive,
        })
    }

    /// Whether this is an `.npz` file.
    pub(crate) fn is_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// Whether an `.npz` file has an array of this name.
    pub(crate) fn holds(&self, key: &str) -> bool {
        let name = format!("{key}.npy");
        let archive = self.archive.as_ref();
        archive.is_some_and(|archive| archive.index_for_name(&name).is_some())
    }

    /// The names of the arrays in an `.npz` file.
    pub(crate) fn keys(&self) -> Vec<String> {
        let names = self
            .archive
            .iter()
            .flat_map(|archive| archive.file_names().flatten());
        names
            .filter_map(|name| name.strip_suffix(".npy").map(str::to_owned))
            .collect()
    }

    /// The keys with type and shape, for messages.
    pub(crate) fn listing(&self) -> String {
        let lines: Vec<_> = self
            .keys()
            .iter()
            .map(|key| match self.array(Some(key)) {
                Ok(array) => format!("{key} ({})", array.header.summary()),
                Err(_) => format!("{key} (unreadable)"),
            })
            .collect();
        if lines.is_empty() {
            "none".to_owned()
        } else {
            lines.join(", ")
        }
    }

    /// The array of a `.npy` file (without a key), or one member of an `.npz` file.
    pub(crate) fn array(&self, key: Option<&str>) -> Result<StoredArray, Failure> {
        let (name, place) = match (key, &self.archive) {
            (Some(key), Some(archive)) => (format!("member '{key}' "), self.member(archive, key)?),
            _ => (
                String::new(),
                Place::Mapped {
                    range: 0..self.map.as_ref().len(),
                    crc32: None,
                },
            ),
        };
        let unusable = |sentence: String| Failure::input(&self.path, format!("{name}{sentence}"));
        let mut array = StoredArray {
            path: self.path.clone(),
            key: key.map(str::to_owned),
            header: Header {
                descr: Descr::Record,
                fortran_order: false,
                shape: Vec::new(),
                length: 0,
            },
            map: self.map.clone(),
            place,
        };
        array.header = array.read_from_start(|reader| Header::read(reader).map_err(unusable))?;
        Ok(array)
    }

    fn member(&self, archive: &Archive, key: &str) -> Result<Place, Failure> {
        let mut archive = archive.clone();
        let Some(index) = archive.index_for_name(&format!("{key}.npy")) else {
            return Err(Failure::input(
                &self.path,
                format!("has no array '{key}'; its arrays are: {}", self.listing()),
            ));
        };
        let unusable = |error: ZipError| {
            Failure::input(
                &self.path,
                format!(
                    "member '{key}' cannot be read ({error}); save the file again with numpy.savez"
                ),
            )
        };
        let member = archive.by_index(index).map_err(unusable)?;
        let (start, size, crc32) = (member.data_start(), member.size(), member.crc32());
        let stored = member.compression() == zip::CompressionMethod::Stored;
        drop(member);
        if !stored {
            return Ok(Place::Compressed {
                archive,
                index,
                size,
            });
        }
        let range = start.and_then(|start| {
            let range =
                usize::try_from(start).ok()?..usize::try_from(start.checked_add(size)?).ok()?;
            (range.end <= self.map.as_ref().len()).then_some(range)
        });
        match range {
            Some(range) => Ok(Place::Mapped {
                range,
                crc32: Some(crc32),
            }),
            None => Err(unusable(ZipError::InvalidArchive(
                "it reaches beyond the end of the file".into(),
            ))),
        }
    }
}

/// Where the bytes of an array, header included, lie.
enum Place {
    /// In the file as they are; members of archives come with a checksum.
    Mapped {
        range: Range<usize>,
        crc32: Option<u32>,
    },
    /// Compressed, in a member of an archive.
    Compressed {
        archive: Archive,
        index: usize,
        size: u64,
    },
}

/// An array in a file.
pub(crate) struct StoredArray {
    pub(crate) path: PathBuf,
    pub(crate) key: Option<String>,
    pub(crate) header: Header,
    map: Map,
    place: Place,
}

impl StoredArray {
    /// A sentence about this array.
    pub(crate) fn unusable(&self, sentence: impl std::fmt::Display) -> Failure {
        match &self.key {
            Some(key) => Failure::input(&self.path, format!("array '{key}' {sentence}")),
            None => Failure::input(&self.path, sentence),
        }
    }

    /// Refuses an array whose header promises more bytes than there are, and says how many it promises.
    pub(crate) fn checked_data_bytes(&self) -> Result<usize, Failure> {
        let there = match &self.place {
            Place::Mapped { range, .. } => range.len() as u64,
            Place::Compressed { size, .. } => *size,
        }
        .saturating_sub(self.header.length as u64);
        let shape = tuple(&self.header.shape);
        let Some(bytes) = self.header.data_bytes() else {
            return Err(self.unusable(format!(
                "has a header that lies about its size: no memory holds an array of shape {shape}; save it again"
            )));
        };
        if there < bytes as u64 {
            return Err(self.unusable(format!(
                "is truncated, or its header lies about its size: shape {shape} needs {bytes} bytes, but {there} are there; copy or save it again"
            )));
        }
        if there > bytes as u64 {
            log::warn!(
                "{}: {} bytes after the array of shape {shape} are ignored",
                self.path.display(),
                there - bytes as u64
            );
        }
        Ok(bytes)
    }

    /// The data as they lie in the file, unless they are compressed.
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        match &self.place {
            Place::Mapped { range, .. } => {
                let data = &self.map.as_ref()[range.clone()][self.header.length..];
                Some(&data[..self.header.data_bytes()?.min(data.len())])
            }
            Place::Compressed { .. } => None,
        }
    }

    /// Lets the operating system have the pages that were read: they are the file's.
    pub(crate) fn give_back(&self) {
        #[expect(unsafe_code, reason = "page advice")]
        // SAFETY: the map is of a file, and read-only: its pages are read again when they are needed.
        let _ = unsafe {
            self.map
                .0
                .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
        };
    }

    /// Hands over a reader at the first byte of the data; a compressed member must be read to its end to be checked.
    pub(crate) fn read<R>(
        &self,
        f: impl FnOnce(&mut dyn BufRead) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        self.read_from_start(|reader| {
            self.skip(reader, self.header.length as u64, || Ok(()))?;
            f(reader)
        })
    }

    /// Passes over `bytes` bytes, which costs nothing where they lie in memory, and asks in `between` whether to go on.
    pub(crate) fn skip(
        &self,
        reader: &mut dyn BufRead,
        mut bytes: u64,
        between: impl Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while bytes > 0 {
            between()?;
            let there = reader
                .fill_buf()
                .map_err(|error| self.damaged(&error))?
                .len();
            if there == 0 {
                return Err(self.damaged(&io::ErrorKind::UnexpectedEof.into()));
            }
            let step = usize::try_from(bytes).map_or(there, |bytes| bytes.min(there));
            reader.consume(step);
            bytes -= step as u64;
        }
        Ok(())
    }

    /// Reads what is left, so that a compressed member's checksum is compared.
    pub(crate) fn finish(
        &self,
        reader: &mut dyn BufRead,
        between: impl Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            between()?;
            let there = reader
                .fill_buf()
                .map_err(|error| self.damaged(&error))?
                .len();
            if there == 0 {
                return Ok(());
            }
            reader.consume(there);
        }
    }

    /// What to say when reading fails in the middle.
    pub(crate) fn damaged(&self, error: &io::Error) -> Failure {
        self.unusable(format!(
            "is truncated or damaged ({error}); copy or save it again"
        ))
    }

    fn read_from_start<R>(
        &self,
        f: impl FnOnce(&mut dyn BufRead) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        match &self.place {
            Place::Mapped { range, .. } => f(&mut &self.map.as_ref()[range.clone()]),
            Place::Compressed { archive, index, .. } => {
                let mut archive = archive.clone();
                let member = archive
                    .by_index(*index)
                    .map_err(|error| self.damaged(&error.into()))?;
                f(&mut BufReader::with_capacity(1 << 16, member))
            }
        }
    }

    /// Compares an uncompressed member with its checksum, one piece at a time.
    pub(crate) fn verify(
        &self,
        mut between: impl FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Place::Mapped {
            range,
            crc32: Some(expected),
        } = &self.place
        else {
            return Ok(());
        };
        let mut hasher = crc32fast::Hasher::new();
        for piece in self.map.as_ref()[range.clone()].chunks(1 << 24) {
            between()?;
            hasher.update(piece);
        }
        if hasher.finalize() == *expected {
            Ok(())
        } else {
            Err(self.unusable("is damaged (its checksum is wrong); copy or save it again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<Header> {
        Header::parse(text, 0)
    }

    #[test]
    fn headers_of_numpy_are_read() {
        let h =
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (41, 63, 800), }        \n")
                .expect("valid");
        assert_eq!(
            h.descr,
            Descr::Plain {
                order: '<',
                kind: 'f',
                size: 8
            }
        );
        assert_eq!(h.shape, [41, 63, 800]);
        assert!(!h.fortran_order);
        assert_eq!(h.data_bytes(), Some(41 * 63 * 800 * 8));
        assert_eq!(
            header("{'descr': '|O', 'fortran_order': True, 'shape': ()}").map(|h| h.descr.name()),
            Some("object".to_owned())
        );
        let record = header("{'descr': '<f8,<f8', 'fortran_order': True, 'shape': (2,)}");
        assert_eq!(record.map(|h| h.descr), Some(Descr::Record));
    }

    #[test]
    fn odd_headers_are_no_headers() {
        let deep = "(".repeat(20_000);
        for text in [
            "",
            "{}",
            "[1, 2]",
            "{'descr': 3, 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': 7}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
            "{'descr': '<f99999999999999999999', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f8x', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f8[ns]', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f8 ', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<\u{1b}8', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': [1]}",
            "{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'order': 'C'}",
            &deep,
        ] {
            assert_eq!(header(text), None, "{text:.60}");
        }
    }

    #[test]
    fn sizes_that_cannot_exist_are_seen() {
        for (shape, bytes) in [
            ("(4294967296, 4294967296, 2)", None),
            ("(9223372036854775807, 1, 1)", None),
            ("(0, 9223372036854775807, 9)", None),
            ("(0, 5, 9)", Some(0)),
            ("(2, 3, 4)", Some(192)),
        ] {
            let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}");
            assert_eq!(header(&text).expect("valid").data_bytes(), bytes, "{shape}");
        }
    }
}
