//! `peakmask run --stream`: a posterior of any length, piece after piece, into a folder of `.npy` files.
//!
//! Results are made in a folder beside the final one, which gets its name when everything is complete. Masks are written by the
//! engines where they lie in a mapped file, the columns of peaks appended by a thread of their own, which then notes how far
//! the run has come. So a run that was killed is continued after its last complete piece.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use bytemuck::{NoUninit, Pod};
use memmap2::{MmapMut, UncheckedAdvice};
use ndarray::{ArrayViewMut3, ArrayViewMut4, Axis, Slice};
use peakmask::{
    Analyzer, CancelToken, Element, Error, MaskForm, MemoryGuard, MemoryLimit, Options, Outputs,
    PeakFilter, Peaks, Report, Summary,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::args::RunArgs;
use crate::failure::Failure;
use crate::input::{Copy, Input};
use crate::levels::{KIND_TYPE, LEVEL_KIND, columns};
use crate::output::{
    Pending, along_track, column_header, folder_of, header, mask_shape, native, persist_behind,
};
use crate::report::live_bins;
use crate::run::of_results;
use crate::table::{Format, Shelf, Table};
use crate::{signals, terminal};

/// The most bytes that the peaks of a piece take, and a copy of its values where these cannot be read where they lie. Peaks of
/// two pieces are at hand: those that are written, and those that are found meanwhile.
const PIECE_BYTES: u64 = 64 << 20;

/// Bytes of input after which mapped pages are given back. To unmap them after each piece, and fault in again those at its seams,
/// took a quarter of the time; they are the page cache's, and are not counted as this process's own.
const KEPT_MAPPED: u64 = 512 << 20;

/// The most bins of a piece, and what their number is a multiple of where maps are not large.
const MOST_BINS: usize = 1 << 16;
const STEP: usize = 1024;

/// The fewest bins of a piece: a byte of packed masks.
const BYTE: usize = 8;

/// Blocks of the input that stand for all of it, and their size.
const BLOCKS: usize = 1024;
const BLOCK: usize = 16 << 10;

/// A run that streams.
pub(crate) struct Job<'a> {
    pub(crate) args: &'a RunArgs,
    pub(crate) input: &'a Input,
    pub(crate) bins: Range<usize>,
    pub(crate) options: &'a Options,
    pub(crate) limit: MemoryLimit,
    /// The folder to write.
    pub(crate) output: &'a Path,
    pub(crate) cancel: &'a CancelToken,
}

/// What came out.
pub(crate) struct Outcome {
    /// What ran, all pieces together; of a run that was continued, since then.
    pub(crate) report: Report,
    pub(crate) live_bins: usize,
    pub(crate) peaks: usize,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    bins: usize,
    peaks: usize,
    live_bins: usize,
}

/// The peaks of the bins up to `end`, to be written.
struct Piece<T> {
    end: usize,
    peaks: Peaks<T>,
}

impl Job<'_> {
    /// Analyses all bins, or those that are left, and gives the folder its name, and the file of a summary, if there is one;
    /// `tell` makes a report, if one is wanted.
    pub(crate) fn run<T: Element>(
        &self,
        table: Option<(&Path, Format)>,
        tell: impl FnOnce(&Outcome) -> Value,
    ) -> Result<Outcome, Failure> {
        if self.input.copy() == Some(Copy::Compressed) {
            return Err(self.input.array.unusable(
                "is compressed, and cannot be read piece by piece; save it as .npy, or with numpy.savez",
            ));
        }
        if !self.bins.is_empty() {
            // A few bins stand for all: a mapped input is looked at as a whole.
            let some = self.bins.start..self.bins.end.min(self.bins.start + BYTE);
            self.input
                .load::<T>(some, self.cancel)?
                .check_axis_order()?;
        }
        let work = Work::open(self.output, self.args.resume, &self.identity()?)?;
        let mut progress = work.progress;
        let mut masks = MaskFile::open(&work, self)?;
        let mut rows = match table {
            Some(_) => Some(SummaryFile::open(&work, self)?),
            None => None,
        };
        let columns = Columns::open::<T>(&work, self, progress)?;
        let mut report = None;
        let bar = terminal::bar(self.args.how.quiet);
        terminal::count_bins(bar, self.bins.len());
        bar.set_position(progress.bins as u64);
        let result = std::thread::scope(|threads| {
            let (to_writer, filled) = channel();
            let (back, spare) = channel();
            for _ in 0..2 {
                let _ = back.send(Peaks::new());
            }
            let writer = std::thread::Builder::new()
                .name("writer".to_owned())
                .spawn_scoped(threads, {
                    let (work, back) = (&work, back.clone());
                    let rule = (self.input.is_track(), self.args.filters.filter());
                    move || columns.write(work, rule, progress, &filled, &back)
                })
                .map_err(|error| {
                    Failure::Memory(format!("a thread could not be started ({error})"))
                })?;
            let found = self.find::<T>(
                progress.bins,
                (&mut masks, &mut rows),
                &to_writer,
                (&back, &spare),
                |position| {
                    bar.set_position(position as u64);
                },
            );
            drop(to_writer);
            let written = writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (progress, report) = (written?, found?);
            Ok(())
        });
        bar.finish_and_clear();
        match result {
            Err(Failure::Interrupted) => {
                let done = Work::read(&work.path).map_or(0, |(_, progress)| progress.bins);
                return Err(Failure::Paused(format!(
                    "interrupted after {done} of {} time bins; go on with --resume",
                    self.bins.len()
                )));
            }
            result => result?,
        }
        let report = match report {
            Some(report) => report,
            None => {
                // Nothing was left to do.
                let none = self.bins.start..self.bins.start;
                let p = self.input.load::<T>(none, self.cancel)?;
                self.analyzer::<T>(0, self.options.clone())?
                    .run(p.view()?, Outputs::new())?
            }
        };
        let outcome = Outcome {
            report,
            live_bins: progress.live_bins,
            peaks: progress.peaks,
        };
        let mut file = self
            .args
            .report
            .as_deref()
            .map(Pending::create)
            .transpose()?;
        if let Some(file) = &mut file {
            let report = tell(&outcome);
            file.write(|writer| Ok(writeln!(writer, "{report:#}")?))?;
        }
        let mut others = Vec::from_iter(file);
        if let (Some((path, format)), Some(rows)) = (table, &rows) {
            let Some(rows) = rows.table() else {
                return Err(work.unwritable(&std::io::ErrorKind::InvalidData.into()));
            };
            let mut table = Pending::create(path)?;
            let levels = self.args.levels();
            table.write(|writer| rows.write(writer, format, &levels, self.cancel))?;
            others.push(table);
        }
        work.finish(self, masks, progress, others)?;
        Ok(outcome)
    }

    /// Analyses the bins from `first` on, piece by piece; what ran, if there were any.
    fn find<T: Element + Pod>(
        &self,
        mut first: usize,
        (masks, rows): (&mut Option<MaskFile>, &mut Option<SummaryFile<T>>),
        to_writer: &Sender<Piece<T>>,
        (back, spare): (&Sender<Peaks<T>>, &Receiver<Peaks<T>>),
        tell: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<Option<Report>, Failure> {
        let n_t = self.bins.len();
        let mut size = self.piece_bins();
        let started = std::sync::Arc::new(AtomicUsize::new(first));
        let heard = std::sync::Arc::clone(&started);
        let options = self.options.clone().progress(move |progress| {
            tell(heard.load(Ordering::Relaxed) + progress.done);
        });
        let mut analyzer = self.analyzer::<T>(size, options)?;
        let mut total: Option<Report> = None;
        let mut mapped = 0;
        if let Some(rows) = rows.as_mut().filter(|_| (1..n_t).contains(&first)) {
            // What comes next overlaps the last bin of what was done before.
            let last = self.bins.start + first - 1..self.bins.start + first;
            let p = self.input.load::<T>(last, self.cancel)?;
            analyzer.run(p.view()?, Outputs::new().summary(&mut rows.summary))?;
        }
        while first < n_t {
            let end = n_t.min(first + size);
            let Ok(mut peaks) = spare.recv() else {
                // The writer has failed, and says why.
                return Ok(total);
            };
            started.store(first, Ordering::Relaxed);
            let piece = self.bins.start + first..self.bins.start + end;
            let p = self.input.load::<T>(piece, self.cancel)?;
            let mut outputs = Outputs::new().peaks(&mut peaks);
            if let Some(masks) = masks {
                outputs = masks.outputs(outputs, first..end)?;
            }
            if let Some(rows) = rows {
                outputs = outputs.append_summary(&mut rows.summary);
            }
            let report = match analyzer.run(p.view()?, outputs) {
                Err(Error::OverBudget { peaks: Some(_), .. } | Error::OutOfMemory { .. })
                    if end - first > BYTE =>
                {
                    // More peaks than there are anywhere else: fewer bins at a time.
                    size = ((end - first) / 2).next_multiple_of(BYTE);
                    let _ = back.send(peaks);
                    continue;
                }
                result => {
                    result.map_err(|error| Failure::of_part(error, self.bins.start + first))?
                }
            };
            drop(p);
            if let Some(rows) = rows {
                rows.put(end);
            }
            mapped += self.input_bytes(end - first);
            if mapped >= KEPT_MAPPED {
                // What is written, and what has been read, need not stay in this process's memory.
                mapped = 0;
                if let Some(masks) = masks {
                    give_back(&masks.map);
                }
                if let Some(rows) = rows {
                    give_back(&rows.map);
                }
                self.input.array.give_back();
            }
            total = Some(match total {
                None => report,
                Some(total) => sum(total, &report),
            });
            if to_writer.send(Piece { end, peaks }).is_err() {
                return Ok(total);
            }
            first = end;
        }
        Ok(total)
    }

    /// An analyzer of pieces of so many bins, with room for their peaks.
    fn analyzer<T: Element>(&self, bins: usize, options: Options) -> Result<Analyzer<T>, Failure> {
        let [n_x, n_y, _] = self.input.shape();
        let plan = peakmask::estimate([n_x, n_y, bins], T::DTYPE, &options)
            .map_err(|error| self.input.array.unusable(error))?;
        let room = (plan.fixed_bytes - plan.mask_bytes).saturating_add(PIECE_BYTES);
        let limit = match self.args.how.on_limit {
            MemoryGuard::Strict => self.limit.bytes.saturating_sub(PIECE_BYTES),
            _ => u64::MAX,
        };
        // At least what one byte of bins takes, so that the library's own words are heard where there is not even that.
        let options = options
            .memory_guard(MemoryGuard::Strict)
            .memory_limit(room.min(limit));
        Ok(Analyzer::new([n_x, n_y], options)?)
    }

    /// Bytes of so many bins of the input.
    fn input_bytes(&self, bins: usize) -> u64 {
        let [n_x, n_y, _] = self.input.shape();
        (n_x * n_y * self.input.dtype.size()) as u64 * bins as u64
    }

    /// How many bins are analysed at a time, at first.
    fn piece_bins(&self) -> usize {
        let [n_x, n_y, _] = self.input.shape();
        let bytes_per_peak = 16 + 2 * self.input.dtype.size() as u64;
        // Noise has a peak in every ninth cell.
        let peaks = ((n_x * n_y) as u64 / 8).max(1) * bytes_per_peak;
        let bin = peaks.max(self.input.copy_bytes(1));
        let bins = ((PIECE_BYTES / bin) as usize).min(MOST_BINS);
        if let Some(bins) = self.args.piece_bins {
            return bins.next_multiple_of(BYTE);
        }
        match bins / STEP * STEP {
            0 => (bins / BYTE * BYTE).max(BYTE),
            bins => bins,
        }
    }

    /// What a run that is continued must agree with.
    fn identity(&self) -> Result<Value, Failure> {
        let array = &self.input.array;
        let data = array.mapped().unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", array.header));
        match data.len() / BLOCK {
            ..=BLOCKS => hash.update(data),
            blocks => {
                for i in 0..BLOCKS {
                    if self.cancel.is_cancelled() {
                        return Err(Failure::Interrupted);
                    }
                    let at = i * (blocks - 1) / (BLOCKS - 1) * BLOCK;
                    hash.update(&data[at..at + BLOCK]);
                }
            }
        }
        let digest = hash.finalize();
        let modified = fs::metadata(&array.path)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let bits =
            |numbers: &[f64]| -> Vec<_> { numbers.iter().map(|number| number.to_bits()).collect() };
        let (other, filters) = (&self.args.other, &self.args.filters);
        Ok(json!({
            "input": {
                "sha256 of its header and of blocks all over it": hex(&digest),
                "length": data.len(),
                "time of last change": modified.map(|time| format!("{}.{:09}", time.as_secs(), time.subsec_nanos())),
                "array": array.key,
                "layout": self.input.layout.name(),
            },
            "options": {
                "version": env!("CARGO_PKG_VERSION"),
                "--bins": [self.bins.start, self.bins.end],
                "--alpha": bits(&self.args.alphas),
                "--absolute": bits(&other.absolutes),
                "--coverage": bits(&other.coverages),
                "--region": other.region.to_string(),
                "--nan": other.nan_policy.to_string(),
                "--connectivity": self.args.how.connectivity.to_string(),
                "--min-height": filters.min_height.map(f64::to_bits),
                "--min-relative-height": filters.min_relative_height.map(f64::to_bits),
                "--min-prominence": filters.min_prominence.map(f64::to_bits),
                "--min-distance": filters.min_distance.map(f64::to_bits),
                "--highest": filters.highest,
                "--most-prominent": filters.most_prominent,
                "--masks": self.args.form().to_string(),
                "--summary": self.args.summary.is_some(),
                "what results depend on": format!("{:?}", of_results(self.args)),
            },
        }))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reports of two pieces as one.
fn sum(mut total: Report, piece: &Report) -> Report {
    total.bins += piece.bins;
    total.cpu_bins += piece.cpu_bins;
    total.gpu_bins += piece.gpu_bins;
    total.peaks += piece.peaks;
    total.seconds.add(&piece.seconds);
    total.seconds.total += piece.seconds.total;
    if piece.engine != total.engine {
        total.engine = peakmask::Engines::Both;
    }
    total.bytes_used = total.bytes_used.max(piece.bytes_used);
    total.no_gpu = total.no_gpu.or_else(|| piece.no_gpu.clone());
    total
}

/// The folder in which results are made.
struct Work {
    path: PathBuf,
    output: PathBuf,
    identity: Value,
    /// How far the run had come before.
    progress: Progress,
    /// Held as long as the folder is worked in.
    _lock: File,
}

const NOTE: &str = ".progress.json";
const LOCK: &str = ".lock";
const ROWS: &str = ".summary";

/// What a folder holds as long as a run is not complete.
const OF_THE_RUN: [&str; 3] = [NOTE, LOCK, ROWS];

impl Work {
    /// Makes the folder, or goes on in one that is there.
    fn open(output: &Path, resume: bool, identity: &Value) -> Result<Self, Failure> {
        let refused = |sentence: String| Err(Failure::output(output, sentence));
        let Some(name) = output.file_name() else {
            return refused("is not the name of a folder; give one".to_owned());
        };
        let empty =
            |path: &Path| fs::read_dir(path).is_ok_and(|mut folder| folder.next().is_none());
        if output.symlink_metadata().is_ok() && !empty(output) {
            return refused("is there already; remove it, or give another name".to_owned());
        }
        let mut partial = OsString::from(".peakmask-");
        partial.push(name);
        partial.push(".partial");
        let path = folder_of(output).join(partial);
        let there = path.is_dir();
        if there && !resume {
            return refused(format!(
                "an unfinished run is in {}; go on with --resume, or remove that folder",
                path.display()
            ));
        }
        let unwritable = |error: std::io::Error| {
            Failure::output(
                output,
                format!(
                    "cannot be written: {} takes no files ({error})",
                    path.display()
                ),
            )
        };
        if !there {
            fs::create_dir(&path).map_err(unwritable)?;
        }
        let lock = File::create(path.join(LOCK)).map_err(unwritable)?;
        if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
            return refused("another run is at work on it; wait for its end".to_owned());
        }
        let mut work = Self {
            path,
            output: output.to_owned(),
            identity: identity.clone(),
            progress: Progress::default(),
            _lock: lock,
        };
        if let Some((note, progress)) = Self::read(&work.path).filter(|_| there) {
            for part in ["input", "options"] {
                let (Some(before), Some(now)) =
                    (note[part].as_object(), identity[part].as_object())
                else {
                    continue;
                };
                if let Some((what, _)) = now
                    .iter()
                    .find(|&(what, value)| before.get(what) != Some(value))
                {
                    let sentence = match part {
                        "input" => format!("was begun with another input (its {what} differs)"),
                        _ => format!("was begun with other options ({what} differs)"),
                    };
                    return Err(Failure::Input(format!(
                        "{}: the run that is to be continued {sentence}; give the same, or remove {}",
                        output.display(),
                        work.path.display()
                    )));
                }
            }
            if note["boot"] == boot() {
                work.progress = progress;
            } else {
                terminal::say(
                    "note: the machine was started anew since, and what reached its disk is not known; the run begins again",
                );
            }
        }
        work.note(work.progress)?;
        Ok(work)
    }

    /// What is noted in a folder, if anything is.
    fn read(path: &Path) -> Option<(Value, Progress)> {
        let note: Value = serde_json::from_slice(&fs::read(path.join(NOTE)).ok()?).ok()?;
        let number = |name: &str| usize::try_from(note["done"][name].as_u64()?).ok();
        let progress = Progress {
            bins: number("bins")?,
            peaks: number("peaks")?,
            live_bins: number("live_bins")?,
        };
        Some((note, progress))
    }

    /// Notes how far the run has come: wholly, or not at all.
    fn note(&self, progress: Progress) -> Result<(), Failure> {
        let mut note = self.identity.clone();
        note["boot"] = boot();
        note["done"] = json!({
            "bins": progress.bins,
            "peaks": progress.peaks,
            "live_bins": progress.live_bins,
        });
        let new = self.path.join(".progress.new");
        fs::write(&new, format!("{note:#}\n"))
            .and_then(|()| fs::rename(&new, self.path.join(NOTE)))
            .map_err(|error| self.unwritable(&error))
    }

    /// Opens a file of the folder, which is made if it is not there, and cuts it to `length` bytes, or fills it up with zeros.
    fn file(&self, name: &str, length: u64) -> Result<File, Failure> {
        let open = || {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(self.path.join(name))?;
            if file.metadata()?.len() > length {
                file.set_len(length)?;
            }
            reserve(&file, length)?;
            file.set_len(length)?;
            Ok(file)
        };
        open().map_err(|error: std::io::Error| self.unwritable(&error))
    }

    /// Maps a file of the folder, which is made if it is not there.
    fn map(&self, name: &str, length: u64) -> Result<MmapMut, Failure> {
        let file = self.file(name, length)?;
        #[expect(
            unsafe_code,
            reason = "a memory map of a file that is larger than memory"
        )]
        // SAFETY: the file is this run's own, which holds the folder's lock; nobody else is to write to it.
        let map = unsafe { MmapMut::map_mut(&file) }.map_err(|error| self.unwritable(&error))?;
        #[cfg(unix)]
        signals::watch_mapping(
            &map,
            &self.unwritable(&std::io::Error::other("the disk is full, or failed")),
        );
        Ok(map)
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        Failure::output(
            &self.output,
            format!(
                "cannot be written: {} takes no more ({error}); make room, and go on with --resume",
                self.path.display()
            ),
        )
    }

    /// Completes the files, stores them, and gives the folder its name, and then the other files.
    fn finish(
        self,
        job: &Job<'_>,
        masks: Option<MaskFile>,
        progress: Progress,
        others: Vec<Pending>,
    ) -> Result<(), Failure> {
        let (numbers, kinds) = columns(&job.args.levels());
        let complete = || {
            if let Some(masks) = masks {
                masks.map.flush()?;
            }
            let mut bytes = header(&native('f', 8), &[numbers.len()]);
            bytes.extend_from_slice(bytemuck::cast_slice(&numbers));
            fs::write(self.path.join("alpha.npy"), bytes)?;
            if let Some(kinds) = kinds {
                let mut bytes = header(KIND_TYPE, &[kinds.len()]);
                bytes.extend_from_slice(bytemuck::cast_slice(&kinds));
                fs::write(self.path.join(format!("{LEVEL_KIND}.npy")), bytes)?;
            }
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if !OF_THE_RUN.iter().any(|name| entry.file_name() == *name) {
                    File::open(entry.path())?.sync_all()?;
                }
            }
            File::open(&self.path)?.sync_all()
        };
        complete().map_err(|error: std::io::Error| self.unwritable(&error))?;
        debug_assert_eq!(progress.bins, job.bins.len());
        let named = std::cell::Cell::new(false);
        let name = || {
            fs::rename(&self.path, &self.output).map_err(|error| {
                Failure::output(
                    &self.output,
                    format!(
                        "cannot be put in place ({error}); the results are in {}",
                        self.path.display()
                    ),
                )
            })?;
            named.set(true);
            Ok(())
        };
        let done = persist_behind(name, others);
        // After all have their names: between the folder's and the others' nothing should take time.
        if named.get() {
            for name in OF_THE_RUN {
                let _ = fs::remove_file(self.output.join(name));
            }
            let _ = File::open(folder_of(&self.output)).and_then(|folder| folder.sync_all());
        }
        done
    }
}

/// Which start of the machine this is: after another one it is not known what of a file was stored.
fn boot() -> Value {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or(Value::Null, |id| Value::from(id.trim()))
}

/// Takes room on the disk: a mapped file that finds none later would be the end of the program.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call for which there is no safe one")]
fn reserve(file: &File, length: u64) -> std::io::Result<()> {
    use std::os::fd::AsRawFd as _;
    if length == 0 {
        return Ok(());
    }
    let Ok(length) = libc::off_t::try_from(length) else {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    };
    // SAFETY: a system call on an open file.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } == 0 {
        return Ok(());
    }
    match std::io::Error::last_os_error() {
        // Not every file system can: then it is found out later.
        error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        error => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _length: u64) -> std::io::Result<()> {
    Ok(())
}

/// The masks of all alphas, mapped.
struct MaskFile {
    map: MmapMut,
    /// Bytes before the first mask.
    header: usize,
    shape: [usize; 4],
    packed: bool,
}

impl MaskFile {
    /// The file of the masks of a run, unless there are none.
    fn open(work: &Work, job: &Job<'_>) -> Result<Option<Self>, Failure> {
        let levels = job.args.levels().len();
        let form = job.args.form();
        if levels == 0 || form == MaskForm::None {
            return Ok(None);
        }
        let [n_x, n_y, _] = job.input.shape();
        let packed = form == MaskForm::Packed;
        let (name, descr, row) = match packed {
            true => ("packed.npy", "|u1", job.bins.len().div_ceil(8)),
            false => ("masks.npy", "|b1", job.bins.len()),
        };
        let shape = [levels, n_x, n_y, row];
        let header = header(
            descr,
            &mask_shape(job.input.is_track(), levels, [n_x, n_y, row]),
        );
        let length = shape
            .iter()
            .fold(1_u64, |product, &n| product.saturating_mul(n as u64));
        let mut map = work.map(name, length.saturating_add(header.len() as u64))?;
        map[..header.len()].copy_from_slice(&header);
        Ok(Some(Self {
            map,
            header: header.len(),
            shape,
            packed,
        }))
    }

    /// Adds the masks of some bins to outputs.
    fn outputs<'a, T>(
        &'a mut self,
        mut outputs: Outputs<'a, T>,
        bins: Range<usize>,
    ) -> Result<Outputs<'a, T>, Failure> {
        let masks = ArrayViewMut4::from_shape(self.shape, &mut self.map[self.header..])
            .map_err(|error| Failure::Other(format!("the masks cannot be used ({error})")))?;
        let row = match self.packed {
            true => bins.start / 8..bins.end.div_ceil(8),
            false => bins,
        };
        let mut rest = masks;
        for alpha in 0..self.shape[0] {
            let (mask, others) = rest.split_at(Axis(0), 1);
            let mut mask = mask.index_axis_move(Axis(0), 0);
            mask.slice_axis_inplace(Axis(2), Slice::from(row.clone()));
            outputs = match self.packed {
                true => outputs.packed_mask(alpha, mask),
                false => outputs.mask(alpha, booleans(mask)),
            };
            rest = others;
        }
        Ok(outputs)
    }
}

/// Lets the operating system have the pages of a file: what they hold is the file's.
fn give_back(map: &MmapMut) {
    #[expect(unsafe_code, reason = "page advice")]
    // SAFETY: the pages of a shared map of a file are read from it again, with everything that was written to them.
    let _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
}

/// The rows of the summary: mapped, until they are all there and a table can be written.
struct SummaryFile<T> {
    map: MmapMut,
    shelf: Shelf,
    /// Of the piece at hand, and of the bin before it, whose overlaps with the piece are known only now.
    summary: Summary<T>,
}

impl<T: Element + Pod> SummaryFile<T> {
    fn open(work: &Work, job: &Job<'_>) -> Result<Self, Failure> {
        let shelf = Shelf::new(job.bins.len(), job.args.levels().len());
        // A file of no bytes cannot be mapped.
        let length = shelf.bytes::<T>().max(1);
        Ok(Self {
            map: work.map(ROWS, length as u64)?,
            shelf,
            summary: Summary::new(),
        })
    }

    /// Puts the rows of the bins before `end` into the file.
    fn put(&mut self, end: usize) {
        let rows = Table::of(&self.summary);
        self.shelf
            .put(&mut self.map, end - self.summary.n_bins(), &rows);
        self.summary.keep_last(1);
    }

    fn table(&self) -> Option<Table<'_, T>> {
        self.shelf.table(&self.map)
    }
}

/// Bytes of a file of masks as booleans.
#[expect(
    unsafe_code,
    reason = "the library writes booleans, a file holds bytes"
)]
fn booleans(mut bytes: ArrayViewMut3<'_, u8>) -> ArrayViewMut3<'_, bool> {
    // SAFETY: a boolean has the size and alignment of a byte, and the view is exclusive and given away with its lifetime. The
    // file is this run's own: it was made of zeros, and only booleans were written to its masks since.
    unsafe { bytes.raw_view_mut().cast().deref_into_view_mut() }
}

/// The columns of peaks: files that grow.
struct Columns {
    offsets: File,
    coords: File,
    prominences: File,
    heights: File,
}

impl Columns {
    /// The columns of a run that has come so far: what lies behind that is cut off.
    fn open<T: Element>(work: &Work, job: &Job<'_>, progress: Progress) -> Result<Self, Failure> {
        let open = |name: &str, width: usize, rows: usize| {
            let length = column_header("", &[]).len() + width * rows;
            let mut file = work.file(name, length as u64)?;
            file.seek(SeekFrom::End(0))
                .map_err(|error| work.unwritable(&error))?;
            Ok::<_, Failure>(file)
        };
        let coords = if job.input.is_track() { 8 } else { 16 };
        let mut columns = Self {
            offsets: open("peak_offsets.npy", 8, 1 + progress.bins)?,
            coords: open("peak_coords.npy", coords, progress.peaks)?,
            prominences: open("prominences.npy", size_of::<T>(), progress.peaks)?,
            heights: open("peak_heights.npy", size_of::<T>(), progress.peaks)?,
        };
        columns
            .name::<T>(job.input.is_track(), progress)
            .map_err(|error| work.unwritable(&error))?;
        Ok(columns)
    }

    /// Writes the headers of columns of so many rows.
    fn name<T: Element>(&mut self, track: bool, progress: Progress) -> std::io::Result<()> {
        let Progress { bins, peaks, .. } = progress;
        let (i8, float) = (native('i', 8), native('f', size_of::<T>()));
        let coords = [peaks, 2 - usize::from(track)];
        for (file, descr, shape) in [
            (&mut self.offsets, &i8, &[bins + 1][..]),
            (&mut self.coords, &i8, &coords[..]),
            (&mut self.prominences, &float, &[peaks][..]),
            (&mut self.heights, &float, &[peaks][..]),
        ] {
            file.rewind()?;
            file.write_all(&column_header(descr, shape))?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(())
    }

    /// Appends the peaks of pieces as they come, those that a filter leaves, and notes how far the run has come after each.
    fn write<T: Element + NoUninit>(
        mut self,
        work: &Work,
        (track, filter): (bool, Option<PeakFilter>),
        mut progress: Progress,
        filled: &Receiver<Piece<T>>,
        back: &Sender<Peaks<T>>,
    ) -> Result<Progress, Failure> {
        for Piece { end, mut peaks } in filled {
            progress.live_bins += live_bins(&peaks);
            if let Some(filter) = &filter {
                peaks.retain(filter);
            }
            for offset in &mut peaks.offsets {
                *offset += progress.peaks as i64;
            }
            progress.peaks += peaks.len();
            progress.bins = end;
            let mut append = || {
                self.offsets
                    .write_all(bytemuck::cast_slice(&peaks.offsets[1..]))?;
                match track {
                    false => self.coords.write_all(bytemuck::cast_slice(&peaks.coords))?,
                    true => {
                        let along = along_track(&peaks.coords);
                        self.coords.write_all(bytemuck::cast_slice(&along))?;
                    }
                }
                self.prominences
                    .write_all(bytemuck::cast_slice(&peaks.prominences))?;
                self.heights.write_all(bytemuck::cast_slice(&peaks.heights))
            };
            append().map_err(|error: std::io::Error| work.unwritable(&error))?;
            work.note(progress)?;
            // Nobody may be there any more to take them.
            let _ = back.send(peaks);
        }
        self.name::<T>(track, progress)
            .map_err(|error| work.unwritable(&error))?;
        Ok(progress)
    }
}
