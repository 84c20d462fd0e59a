//! What a user can type, and the texts of `--help`.

use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use bytesize::ByteSize;
use clap::builder::{
    NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use peakmask::{
    Backend, Connectivity, GpuUse, Level, MaskForm, MemoryGuard, NanPolicy, Options, PeakFilter,
    Prominence, Region,
};

use crate::marks::Marks;
use crate::picture::DEFAULT_ALPHAS;
use crate::sheet::Colours;
use crate::table::Format;

/// Peaks, prominences and dominant-peak masks of decoded position posteriors.
///
/// INPUT holds P[x, y, t]: one 2-D map of position bins ("cells") for each time bin, float64 or float32, as numpy.save
/// or numpy.savez wrote it. In every time bin peakmask finds all local maxima (8 neighbours) with their heights and
/// prominences, and for each alpha the connected region around the highest peak in which P >= alpha * height.
#[derive(Debug, Parser)]
#[command(name = "peakmask", version, propagate_version = true, after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  peakmask run posterior.npz --alpha 0.5 --alpha 0.9 -o result.npz --picture result.png
  peakmask summary posterior.npz --alpha 0.9 -o summary.csv
  peakmask picture posterior.npz result.npz -o sheet.png --bins 0,50,100
  peakmask info posterior.npz
  peakmask run posterior.npz --alpha 0.5 --backend gpu -o result.npz

Exit codes:
  0    done
  1    a result could not be written, or the analysis could not run
  2    the arguments, the environment or the input cannot be used
  3    more memory is needed than allowed
  4    a GPU was asked for, and there is none, it is too small, or it failed
  130  interrupted (Ctrl-C, or a request to terminate); nothing was written";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Analyse a posterior and write masks and peaks to an .npz file
    Run(RunArgs),
    /// Write areas, positions, sums and overlaps of every time bin to an .npz, .csv or .parquet file, without masks
    Summary(SummaryArgs),
    /// Draw a sheet of time bins: posterior, mask outlines and peaks
    Picture(PictureArgs),
    /// Write a page for the browser: time slider, maps, outlines, peaks, timelines
    Page(PageArgs),
    /// Show version, processor, memory limit and GPUs; for an INPUT its shape and the memory that it would need
    Info(InfoArgs),
    /// Try out the drivers of GPUs: what the other commands start beside themselves
    #[command(hide = true)]
    TryDrivers(ProbeArgs),
}

/// Where the posterior lies, and how its axes are ordered.
#[derive(Debug, Clone, Args)]
pub(crate) struct InputArgs {
    /// A .npy or .npz file with a 3-D array of float64 or float32; of a linear track, with a 2-D one (see --layout)
    ///
    /// A .npy file, and an uncompressed member of an .npz file, is mapped into memory and read where it lies, in C or
    /// Fortran order. Values that are compressed, not aligned, or of the other byte order are copied first; the copy holds
    /// the chosen time bins only, and counts towards the memory limit. The file must not change while it is read.
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,

    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// Where the animal was.
#[derive(Debug, Args)]
pub(crate) struct AnimalArgs {
    /// Draw where the animal was, and its way there: a .npy file of shape (n_t, 2), x and y in cells
    ///
    /// A row for each time bin of INPUT; 3.0 is the centre of cell 3, NaN is where nobody knows. Of a linear track, shape
    /// (n_t,) serves too.
    #[arg(long, value_name = "PATH.npy")]
    pub(crate) path: Option<PathBuf>,
}

/// How to read an input file.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReadingArgs {
    /// Which array of an .npz file to read
    ///
    /// Without it: `p_x_given_n`, else the only 3-D array of floats.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Order of the input's axes: position, position, time, or time first; of a linear track, one position less
    ///
    /// Results have the axes x, y, t for xyt and txy. Without it, an input is read as xyt, and refused if it looks like txy; a
    /// layout that is given is believed. An input with two axes is a track, and its layout, xt or tx, has to be given, since a
    /// single map has two axes, too: its maps have one column, masks the axes x, t, and peak_coords x alone.
    #[arg(long, value_enum)]
    pub(crate) layout: Option<Layout>,
}

#[derive(Debug, Args)]
#[command(after_long_help = RUN_AFTER_HELP)]
pub(crate) struct RunArgs {
    /// .npy or .npz files with a 3-D array of float64 or float32; of a linear track, with a 2-D one (see --layout)
    ///
    /// A .npy file, and an uncompressed member of an .npz file, is mapped into memory and read where it lies, in C or
    /// Fortran order. Values that are compressed, not aligned, or of the other byte order are copied first; the copy holds
    /// the chosen time bins only, and counts towards the memory limit. The file must not change while it is read.
    ///
    /// Of several inputs each has a result of its own, in the folder that -o names. An input that cannot be analysed does not
    /// stop the others; the exit code is then that of the first such input.
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) reading: ReadingArgs,

    /// Make a mask of the cells around the dominant peak with P >= A * height; repeat for more masks
    ///
    /// Any float: also -0.5, nan, inf, -inf (a threshold that nothing reaches leaves the dominant cell alone). Without
    /// --alpha only peaks are found.
    #[arg(long = "alpha", value_name = "A", value_parser = parse_alpha, allow_hyphen_values = true)]
    pub(crate) alphas: Vec<f64>,

    #[command(flatten)]
    pub(crate) other: LevelArgs,

    #[command(flatten)]
    pub(crate) filters: FilterArgs,

    #[command(flatten)]
    pub(crate) lists: ListArgs,

    /// The .npz file to write; an existing file is replaced once the new one is complete
    ///
    /// With --stream the folder to write. Of several inputs the folder, made if it is not there, in which each has its
    /// result: a.npz for a.npy, or with --stream the folder a.
    #[arg(short, long, value_name = "OUT.npz", required = true)]
    pub(crate) output: Option<PathBuf>,

    /// The form of masks; a stream writes bytes, packed, or none
    #[arg(long, value_name = "FORM", value_parser = named::<MaskForm>(&FORMS), default_value_t)]
    pub(crate) masks: MaskForm,

    /// Write masks as bits, an eighth of the memory, eight time bins a byte: the same as --masks packed
    ///
    /// `packed`, uint8 (n_alpha, n_x, n_y, ceil(n_t / 8)), as numpy.packbits(masks, axis=-1, bitorder="little") makes it, in
    /// place of `masks`.
    #[arg(long, conflicts_with = "masks")]
    pub(crate) packed: bool,

    /// Also write areas, positions, sums and overlaps of every time bin, as `peakmask summary` would
    ///
    /// A table in a file that ends in .npz, .csv, or, where the program was built with it, .parquet.
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// The kind of file of a summary, where its name does not say it.
    #[arg(skip)]
    pub(crate) format: Option<Format>,

    /// Write a folder of .npy files, piece by piece: for inputs and results that are larger than memory
    ///
    /// It holds the arrays of an .npz file, each as a file, and is there when all of them are complete. It takes less than
    /// 256 MiB beside the pages of mapped files, which the operating system takes back at will. Chosen by itself, and
    /// said, where the memory limit is exceeded, unless the name of the output ends in .npz. A run that was interrupted or
    /// killed is continued with --resume.
    #[arg(long)]
    pub(crate) stream: bool,

    /// With --stream, go on after the last complete piece of a run that was interrupted
    ///
    /// The input and all options that results depend on have to be the same. The result has the same bytes as that of a run
    /// that was not interrupted. Without such a run it begins anew.
    #[arg(long, requires = "stream")]
    pub(crate) resume: bool,

    /// Time bins of a piece of a stream, for tests
    #[arg(long, value_name = "N", requires = "stream", hide = true)]
    pub(crate) piece_bins: Option<usize>,

    #[command(flatten)]
    pub(crate) how: HowArgs,

    /// Also write a report: input, options, memory plan, what ran and for how long
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,

    /// Also draw up to 12 evenly spaced time bins, as `peakmask picture` would
    #[arg(long, value_name = "OUT.png")]
    pub(crate) picture: Option<PathBuf>,
}

impl RunArgs {
    /// The levels of all masks, in the order of the results.
    pub(crate) fn levels(&self) -> Vec<Level> {
        self.other.with(&self.alphas)
    }

    /// The form of the masks.
    pub(crate) fn form(&self) -> MaskForm {
        if self.packed {
            MaskForm::Packed
        } else {
            self.masks
        }
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = SUMMARY_AFTER_HELP)]
pub(crate) struct SummaryArgs {
    /// .npy or .npz files with a 3-D array of float64 or float32; of a linear track, with a 2-D one (see --layout)
    ///
    /// They are read as by `peakmask run`. Of several inputs each has a table of its own, in the folder that -o names. An
    /// input that cannot be analysed does not stop the others; the exit code is then that of the first such input.
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) reading: ReadingArgs,

    /// Summarise the mask of this alpha; repeat for more [default: 0.5 and 0.9]
    #[arg(long = "alpha", value_name = "A", value_parser = parse_alpha, allow_hyphen_values = true)]
    pub(crate) alphas: Vec<f64>,

    #[command(flatten)]
    pub(crate) other: LevelArgs,

    /// The file to write, .npz, .csv or .parquet; an existing file is replaced once the new one is complete
    ///
    /// Of several inputs the folder, made if it is not there, in which each has its table: a.npz for a.npy. Parquet is there
    /// where the program was built with it (--features parquet).
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// The kind of table [default: what the name of the output ends in; of several inputs npz]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    #[command(flatten)]
    pub(crate) how: HowArgs,
}

impl SummaryArgs {
    /// The run that writes nothing but a summary.
    pub(crate) fn run(self) -> RunArgs {
        RunArgs {
            format: match self.inputs.len() {
                1 => self.format,
                _ => self.format.or(Some(Format::Npz)),
            },
            inputs: self.inputs,
            reading: self.reading,
            alphas: match self.other.with(&self.alphas).is_empty() {
                true => DEFAULT_ALPHAS.to_vec(),
                false => self.alphas,
            },
            other: self.other,
            filters: FilterArgs::default(),
            lists: ListArgs::default(),
            output: None,
            masks: MaskForm::None,
            packed: false,
            summary: Some(self.output),
            stream: false,
            resume: false,
            piece_bins: None,
            how: self.how,
            report: None,
            picture: None,
        }
    }
}

const SUMMARY_AFTER_HELP: &str = "\
Columns, in .npz arrays (n_t,), for each level (n_alpha, n_t), positions with one more axis for x and y; in .csv and .parquet a
row for each time bin, those of a level ending in its alpha, those of positions in _x and _y:
  live, dominant, height, prominence       of the dominant peak; nan, and -1 for its cell, where there is none
  highest_prominence, peaks                of any peak; number of peaks
  minimum, total                           lowest value; sum, one cell added to the other
  threshold, area, reached                 cells of the mask, and cells anywhere at or above its threshold
  mass, sums, centroid                     sum of P in the mask; sums of x and y; centroid weighted by P
  first, last, border                      bounding box, -1 where the mask is empty; whether it touches the border
  overlap, dilated_overlap, dilated_union  cells in this mask and in the next bin's; after this one grew by its neighbours; in
                                           either; -1 in the last bin

Examples:
  peakmask summary posterior.npy --alpha 0.5 --alpha 0.9 -o summary.npz
  peakmask summary posterior.npy --alpha 0.9 -o summary.csv
  peakmask summary day*.npy --alpha 0.9 --format csv -o summaries";

/// Which GPU, and whether one may be used.
#[derive(Debug, Args)]
pub(crate) struct GpuArgs {
    /// Which GPU: its number, its place on the PCI bus, or part of its name; `peakmask info` lists them
    ///
    /// Without it: what the environment variable PEAKMASK_ADAPTER says, else the best one, and the first of several cards of a
    /// kind. A number has one or two digits; in names, case does not matter. A GPU that is named takes part in --backend auto
    /// however little work there is, and so does software, which is exact, but slower than the processor's cores. With
    /// --backend cpu it says nothing.
    #[arg(long, value_name = "GPU", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) adapter: Option<String>,

    /// Whether --backend auto may use a GPU, or has to
    ///
    /// Without it: what the environment variable PEAKMASK_GPU says (off or require), else if there is a GPU and the work is
    /// worth opening it.
    #[arg(long, value_name = "USE", value_parser = named::<GpuUse>(&GPU_USES))]
    pub(crate) gpu: Option<GpuUse>,
}

/// What drivers are tried out for.
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// The analysis that is to follow; without it, a list
    #[arg(long, value_parser = named::<Backend>(&BACKENDS))]
    pub(crate) backend: Option<Backend>,

    #[command(flatten)]
    pub(crate) gpu: GpuArgs,
}

/// How an analysis goes, whatever is written of it.
#[derive(Debug, Args)]
pub(crate) struct HowArgs {
    /// Which neighbours connect the cells of a mask: the 4 that share an edge, or all 8
    #[arg(long, value_parser = named::<Connectivity>(&NEIGHBOURS), default_value_t)]
    pub(crate) connectivity: Connectivity,

    /// Which prominence peaks have
    #[arg(long, value_parser = named::<Prominence>(&PROMINENCES), default_value_t)]
    pub(crate) prominence: Prominence,

    /// Which engine computes; the results are the same
    #[arg(long, value_parser = named::<Backend>(&BACKENDS), default_value_t)]
    pub(crate) backend: Backend,

    #[command(flatten)]
    pub(crate) gpu: GpuArgs,

    /// Number of worker threads; 0 means one for each core that the process may use
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,

    /// Analyse only time bins A to B - 1, as a Python slice: 0:1000, 500:, :100, -100:
    #[arg(long, value_name = "A:B", allow_hyphen_values = true)]
    pub(crate) bins: Option<BinRange>,

    /// The most memory that results, scratch and copies may take: 8GiB, 500MB, or a number of bytes
    ///
    /// Default: what the machine and the process's control group have to spare (see `peakmask info`). The pages of a
    /// mapped input do not count: the operating system takes them back at will.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_limit: Option<u64>,

    /// Whether to stop (exit code 3) or to go on with a warning when more memory is needed than the limit
    #[arg(long, value_parser = named::<MemoryGuard>(&ON_LIMIT), default_value_t)]
    pub(crate) on_limit: MemoryGuard,

    /// No progress bar and no summary; warnings and errors are still shown
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Which of the peaks found are listed.
///
/// The names are those of `Peaks.filter` in Python.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    /// List only peaks of this height or more, in the input's unit
    ///
    /// Filters of peaks change lists, never masks, nor the columns of --summary. Peaks that are too low or not prominent
    /// enough go first; then those too close to a better one; of what is left in a time bin, the best stay. The better of two
    /// peaks is the higher one, with --most-prominent the more prominent one; of equals the first.
    #[arg(long, value_name = "V", value_parser = parse_bound, allow_hyphen_values = true)]
    pub(crate) min_height: Option<f64>,

    /// List only peaks that reach this fraction of the height of their time bin's highest
    #[arg(long, value_name = "F", value_parser = parse_bound, allow_hyphen_values = true)]
    pub(crate) min_relative_height: Option<f64>,

    /// List only peaks of this prominence or more, of the kind that --prominence names, in the input's unit
    #[arg(long, value_name = "V", value_parser = parse_bound)]
    pub(crate) min_prominence: Option<f64>,

    /// List only peaks that are this far or farther from every better one that is listed, in cells
    #[arg(long, value_name = "CELLS", value_parser = parse_bound)]
    pub(crate) min_distance: Option<f64>,

    /// List only the K highest peaks of each time bin
    #[arg(long, value_name = "K", conflicts_with = "most_prominent")]
    pub(crate) highest: Option<usize>,

    /// List only the K most prominent peaks of each time bin
    #[arg(long, value_name = "K")]
    pub(crate) most_prominent: Option<usize>,
}

impl FilterArgs {
    /// The filter, unless all peaks are to be listed.
    pub(crate) fn filter(&self) -> Option<PeakFilter> {
        fn with<V>(
            filter: PeakFilter,
            value: Option<V>,
            add: fn(PeakFilter, V) -> PeakFilter,
        ) -> PeakFilter {
            value.into_iter().fold(filter, add)
        }
        let filter = with(PeakFilter::new(), self.min_height, PeakFilter::min_height);
        let relative = self.min_relative_height;
        let filter = with(filter, relative, PeakFilter::min_relative_height);
        let filter = with(filter, self.min_prominence, PeakFilter::min_prominence);
        let filter = with(filter, self.min_distance, PeakFilter::min_distance);
        let filter = with(filter, self.highest, PeakFilter::highest);
        let filter = with(filter, self.most_prominent, PeakFilter::most_prominent);
        (filter != PeakFilter::new()).then_some(filter)
    }

    /// The most peaks that are left in a time bin, if there is such a number.
    pub(crate) fn most(&self) -> Option<usize> {
        self.highest.or(self.most_prominent)
    }

    /// The option that reads prominences, if one does.
    pub(crate) fn of_prominence(&self) -> Option<&'static str> {
        let options = [
            self.min_prominence.map(|_| "--min-prominence"),
            self.most_prominent.map(|_| "--most-prominent"),
        ];
        options.into_iter().flatten().next()
    }
}

/// What else is written of every listed peak.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ListArgs {
    /// Also write the saddle, the topographic prominence and the parent of every listed peak
    ///
    /// The saddle is where a peak is connected to higher ground, the parent the peak that it meets there. The archive has them
    /// beside the peaks, whichever prominence these have; a stream has none.
    #[arg(long)]
    pub(crate) saddles: bool,

    /// Also measure the region of every listed peak, the cells connected to it with P >= A * its height; repeat for more
    ///
    /// Areas, bounding boxes, centres, distances to the border, and which regions overlap. Regions are connected as masks are
    /// (--connectivity); the archive has them beside the peaks, a stream has none.
    #[arg(long, value_name = "A", value_parser = parse_alpha, allow_hyphen_values = true)]
    pub(crate) peak_regions: Vec<f64>,
}

impl ListArgs {
    /// The option that asks for more than the columns of peaks, if one does.
    pub(crate) fn asked(&self) -> Option<&'static str> {
        match (self.saddles, self.peak_regions.is_empty()) {
            (true, _) => Some("--saddles"),
            (false, false) => Some("--peak-regions"),
            (false, true) => None,
        }
    }
}

/// Levels beside alphas, and the rules that all levels share.
#[derive(Debug, Clone, Args)]
pub(crate) struct LevelArgs {
    /// Make a mask of the cells around the dominant peak with P >= V, the same value in every time bin; repeat for more masks
    ///
    /// Any float. Masks of --alpha come first in the results, then those of --absolute, then those of --coverage.
    #[arg(long = "absolute", value_name = "V", value_parser = parse_value, allow_hyphen_values = true)]
    pub(crate) absolutes: Vec<f64>,

    /// Make a mask of the highest-density region that holds this share of the time bin's total; repeat for more masks
    ///
    /// Above 0 and at most 1: 0.95 for what is known as a 95 % credible region. The share is that of all cells of the region;
    /// with --region dominant, the mask is the part of it around the dominant peak. Time bins with a negative value, or
    /// without a finite total above zero, have an empty mask, and are counted. Always computed by the processor's cores.
    #[arg(long = "coverage", value_name = "C", value_parser = parse_value)]
    pub(crate) coverages: Vec<f64>,

    /// Which cells that reach a level belong to its mask
    #[arg(long, value_parser = named::<Region>(&REGIONS), default_value_t)]
    pub(crate) region: Region,

    /// What a NaN means
    #[arg(long = "nan", value_name = "RULE", value_parser = named::<NanPolicy>(&NAN_POLICIES), default_value_t)]
    pub(crate) nan_policy: NanPolicy,
}

impl LevelArgs {
    /// The levels of all masks, in the order of the results.
    pub(crate) fn with(&self, alphas: &[f64]) -> Vec<Level> {
        let alphas = alphas.iter().copied().map(Level::OfPeak);
        let absolutes = self.absolutes.iter().copied().map(Level::Absolute);
        let coverages = self.coverages.iter().copied().map(Level::Coverage);
        alphas.chain(absolutes).chain(coverages).collect()
    }

    /// The same for something to look at, of which nothing may have been asked.
    pub(crate) fn or_default(&self, alphas: &[f64]) -> Vec<Level> {
        match self.with(alphas) {
            none if none.is_empty() => DEFAULT_ALPHAS.map(Level::OfPeak).to_vec(),
            levels => levels,
        }
    }

    /// The options that these choose.
    pub(crate) fn choose(&self, options: Options, levels: &[Level]) -> Options {
        options
            .levels(levels.iter().copied())
            .region(self.region)
            .nan_policy(self.nan_policy)
    }
}

impl GpuArgs {
    /// The options, with what was chosen here; the library reads the environment for the rest.
    pub(crate) fn choose(&self, options: Options) -> Options {
        let options = match self.gpu {
            Some(gpu_use) => options.gpu(gpu_use),
            None => options,
        };
        match &self.adapter {
            Some(name) => options.adapter(name),
            None => options,
        }
    }
}

const RUN_AFTER_HELP: &str = "\
OUT.npz, for numpy.load:
  masks         bool (n_alpha, n_x, n_y, n_t)   one mask for each level: alphas in the order given, then others
  packed        uint8 (n_alpha, n_x, n_y, ceil(n_t / 8))   instead, with --packed: numpy.packbits(masks, -1, bitorder=\"little\")
  mask_offsets_K, mask_cells_K                  instead, with --masks sparse: of level number K, the cells x * n_y + y of bin t
  alpha         float64 (n_alpha,)              the numbers of the levels
  level_kind    bytes (n_alpha,)                of_peak, absolute or coverage; only if not all are of_peak
  peak_offsets  int64 (n_t + 1,)                peaks of time bin t: rows peak_offsets[t] to peak_offsets[t + 1] - 1
  peak_coords   int64 (N, 2)                    x, y in cells, row by row
  prominences   input's type (N,)               height above the highest neighbour that is no peak, in the input's unit
  peak_heights  input's type (N,)               P at the peak
With --saddles, of every listed peak, -1 where there is none:
  saddle_coords, saddle_heights                 int64 (N, 2), input's type (N,)   without a saddle, the lowest value of the map
  topographic_prominences                       input's type (N,)                 peak_heights - saddle_heights
  peak_parents, parent_coords                   int64 (N,), int64 (N, 2)          row of the parent, if listed; its cell
With --peak-regions, of every listed peak at each alpha:
  region_alpha                                  float64 (n_region_alpha,)
  region_areas, region_border_distances         int64 (n_region_alpha, N)         in cells; of a
                                                linear track the distance is that to the nearer end
  region_overlaps, region_holders               int64 (n_region_alpha, N)         number of regions that share cells; row of the
                                                peak with the smallest region that holds this one, -1 without one
  region_boxes                                  int64 (n_region_alpha, N, 4)      first and last x, first and last y
  region_centres                                float64 (n_region_alpha, N, 2)    mean x, mean y
Of peaks, those that the filters leave (--min-height to --most-prominent); without filters all.
A bin that is constant has no peaks and an empty mask, and so has, unless --nan says otherwise, one that holds a NaN. Of a
linear track, masks are (n_alpha, n_x, n_t), peak_coords (N, 1), and other positions x alone. With --stream each array is a file, as in OUT/masks.npy.

Examples:
  peakmask run posterior.npy --alpha 0.5 --alpha 0.9 -o result.npz
  peakmask run decoded.npz --key acausal --layout txy --bins 0:10000 --alpha 0.5 -o first.npz
  peakmask run posterior.npy --alpha 0.5 --prominence topographic --min-prominence 0.01 --highest 3 -o result.npz
  peakmask run huge.npy --alpha 0.5 --memory-limit 8GiB --report report.json -o result.npz
  peakmask run huge.npy --alpha 0.5 --stream --packed -o result
  peakmask run day*.npy --alpha 0.5 -o results";

#[derive(Debug, Args)]
#[command(after_long_help = PICTURE_AFTER_HELP)]
pub(crate) struct PictureArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// A result of `peakmask run` on all time bins of INPUT; without it the drawn bins are analysed now
    #[arg(value_name = "RESULT.npz", conflicts_with_all = ["alphas", "absolutes", "coverages", "region", "nan_policy", "connectivity", "prominence"])]
    pub(crate) result: Option<PathBuf>,

    /// The picture to write, .png, .svg or .pdf; an existing file is replaced once the new one is complete
    #[arg(short, long, value_name = "OUT.png")]
    pub(crate) output: PathBuf,

    /// Time bins to draw, separated by commas; default: up to 12, evenly spaced, that are neither constant nor hold NaN
    #[arg(long, value_name = "T,T,...", value_delimiter = ',', value_parser = parse_bin)]
    pub(crate) bins: Vec<usize>,

    /// Outline the mask of this alpha; repeat for more [default: 0.5 and 0.9]
    #[arg(long = "alpha", value_name = "A", value_parser = parse_alpha, allow_hyphen_values = true)]
    pub(crate) alphas: Vec<f64>,

    #[command(flatten)]
    pub(crate) other: LevelArgs,

    /// Which neighbours connect the cells of a mask
    #[arg(long, value_parser = named::<Connectivity>(&NEIGHBOURS), default_value_t)]
    pub(crate) connectivity: Connectivity,

    /// Which prominence --min-prominence reads
    #[arg(long, value_parser = named::<Prominence>(&PROMINENCES[..2]), default_value_t)]
    pub(crate) prominence: Prominence,

    #[command(flatten)]
    pub(crate) animal: AnimalArgs,

    #[command(flatten)]
    pub(crate) marks: Marks,

    #[command(flatten)]
    pub(crate) colours: Colours,
}

#[derive(Debug, Args)]
#[command(after_long_help = PAGE_AFTER_HELP)]
pub(crate) struct PageArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// A result of `peakmask run` on all time bins of INPUT; without it they are analysed now
    #[arg(value_name = "RESULT.npz", conflicts_with_all = ["alphas", "absolutes", "coverages", "region", "nan_policy", "connectivity", "prominence"])]
    pub(crate) result: Option<PathBuf>,

    /// The HTML file to write; an existing file is replaced once the new one is complete
    #[arg(short, long, value_name = "OUT.html")]
    pub(crate) output: PathBuf,

    /// Show only time bins A to B - 1, as a Python slice: 0:1000, 500:, :100, -100:
    #[arg(long, value_name = "A:B", allow_hyphen_values = true)]
    pub(crate) bins: Option<BinRange>,

    /// Outline the mask of this alpha; repeat for more [default: 0.5 and 0.9]
    #[arg(long = "alpha", value_name = "A", value_parser = parse_alpha, allow_hyphen_values = true)]
    pub(crate) alphas: Vec<f64>,

    #[command(flatten)]
    pub(crate) other: LevelArgs,

    /// Which neighbours connect the cells of a mask
    #[arg(long, value_parser = named::<Connectivity>(&NEIGHBOURS), default_value_t)]
    pub(crate) connectivity: Connectivity,

    /// Which prominence --min-prominence reads
    #[arg(long, value_parser = named::<Prominence>(&PROMINENCES[..2]), default_value_t)]
    pub(crate) prominence: Prominence,

    #[command(flatten)]
    pub(crate) animal: AnimalArgs,

    #[command(flatten)]
    pub(crate) marks: Marks,
}

const PAGE_AFTER_HELP: &str = "\
The page is one file that any browser shows without a network: a time slider that plays, the map with outlines and peaks,
timelines of height, areas and number of marked peaks on which a click moves the time, and the value under the pointer.
Values are rounded for display to 255 steps between the lowest and the highest of their time bin, or to 64 or 16 where the
file would exceed 60 MB; the page says to how many.

Examples:
  peakmask page posterior.npz -o page.html
  peakmask page posterior.npz result.npz --bins 0:20000 -o page.html";

const PICTURE_AFTER_HELP: &str = "\
Each panel shows one time bin on its own colour scale, stated beside it: from the lowest to the highest finite value; with
--shared all have one.
NaN cells are grey. x runs to the right and y upwards, both in cells. Maps of more than 1024 cells a side are drawn with
the highest value of each block of cells.

Examples:
  peakmask picture posterior.npz -o sheet.png
  peakmask picture posterior.npz result.npz --bins 0,50,100,150 -o sheet.png";

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A .npy or .npz file with a 3-D array of float64 or float32
    #[arg(value_name = "INPUT")]
    pub(crate) input: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) reading: ReadingArgs,

    /// Plan for a mask of this alpha; repeat for more [default: 0.5 and 0.9]
    #[arg(long = "alpha", value_name = "A", value_parser = parse_alpha, allow_hyphen_values = true)]
    pub(crate) alphas: Vec<f64>,

    /// Plan with this memory limit instead of the machine's
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_limit: Option<u64>,

    #[command(flatten)]
    pub(crate) gpu: GpuArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// (x, y, t)
    Xyt,
    /// (t, x, y)
    Txy,
    /// (x, t): a linear track
    Xt,
    /// (t, x): a linear track
    Tx,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xyt => "xyt",
            Self::Txy => "txy",
            Self::Xt => "xt",
            Self::Tx => "tx",
        }
    }

    /// Whether time is the first axis.
    pub(crate) fn time_first(self) -> bool {
        matches!(self, Self::Txy | Self::Tx)
    }

    /// Whether there is one axis of positions.
    pub(crate) fn is_track(self) -> bool {
        matches!(self, Self::Xt | Self::Tx)
    }
}

/// The names of a library's option, with what each means: parsed by the library's own `FromStr`.
fn named<T>(names: &[(&'static str, &'static str)]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = peakmask::Error> + Clone + Send + Sync + 'static,
{
    let names = names
        .iter()
        .map(|&(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

const REGIONS: [(&str, &str); 2] = [
    (
        "dominant",
        "those connected to the dominant peak through such cells",
    ),
    ("whole", "all of them, connected or not"),
];

const NAN_POLICIES: [(&str, &str); 3] = [
    ("silence", "its time bin has no peaks and empty masks"),
    (
        "off_track",
        "the cell is absent: no peak, in no mask, nobody's neighbour",
    ),
    ("error", "the input is refused, and the first NaN named"),
];

const FORMS: [(&str, &str); 4] = [
    ("bytes", "a byte for each cell and time bin"),
    ("packed", "a bit for each cell and time bin"),
    (
        "sparse",
        "the cells of each time bin: the least where regions are small",
    ),
    ("none", "no masks"),
];

const NEIGHBOURS: [(&str, &str); 2] = [
    ("4", "cells that share an edge"),
    ("8", "cells that share an edge or a corner"),
];

const PROMINENCES: [(&str, &str); 3] = [
    (
        "reference",
        "height minus the highest cell around the peak's plateau",
    ),
    (
        "topographic",
        "height minus the highest saddle on the way to higher ground; the CPU engine alone computes it",
    ),
    ("none", "none: the column is NaN"),
];

const BACKENDS: [(&str, &str); 3] = [
    (
        "auto",
        "whatever is there: the processor's cores at once, a GPU beside them when the work is worth opening it",
    ),
    ("cpu", "the processor's cores alone"),
    (
        "gpu",
        "a GPU alone, or exit code 4; software that behaves like one serves too",
    ),
];

const GPU_USES: [(&str, &str); 3] = [
    (
        "where-useful",
        "if there is one and the work is worth opening it, whatever PEAKMASK_GPU says",
    ),
    ("off", "never"),
    (
        "require",
        "without one the analysis is an error (exit code 4)",
    ),
];

const ON_LIMIT: [(&str, &str); 3] = [
    (
        "error",
        "stop before anything is computed, or as soon as the peaks found cross the limit",
    ),
    ("warn", "go on, with a warning"),
    ("ignore", "go on, and say nothing"),
];

/// Time bins as a Python slice with a step of one; unlike Python's, it may not reach beyond the bins that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BinRange {
    start: Option<i64>,
    stop: Option<i64>,
}

impl FromStr for BinRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = |part: &str| match part.trim() {
            "" => Ok(None),
            number => number.parse().map(Some),
        };
        text.split_once(':')
            .and_then(|(a, b)| {
                Some(Self {
                    start: end(a).ok()?,
                    stop: end(b).ok()?,
                })
            })
            .ok_or_else(|| {
                "a range of time bins is written A:B, either end may be left out, as in 0:1000, 500: or :100".to_owned()
            })
    }
}

impl BinRange {
    /// The bins meant, of `n_t`.
    pub(crate) fn resolve(range: Option<Self>, n_t: usize) -> Result<Range<usize>, String> {
        let Some(Self { start, stop }) = range else {
            return Ok(0..n_t);
        };
        let end = |number: Option<i64>, default: usize| match number {
            None => Ok(default),
            Some(number) => {
                let from_start = if number < 0 {
                    number.checked_add_unsigned(n_t as u64)
                } else {
                    Some(number)
                };
                from_start
                    .and_then(|n| usize::try_from(n).ok())
                    .filter(|&n| n <= n_t)
                    .ok_or_else(|| {
                        format!("--bins names time bin {number}, but the input has {n_t} time bins; stay within 0:{n_t}")
                    })
            }
        };
        let (start, stop) = (end(start, 0)?, end(stop, n_t)?);
        if start >= stop && n_t > 0 {
            return Err(format!(
                "--bins {start}:{stop} names no time bin; the first must be smaller than the second, within 0:{n_t}"
            ));
        }
        Ok(start..stop)
    }
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| {
        "an alpha is a number such as 0.5, -0.5, nan or inf; for several, repeat --alpha".to_owned()
    })
}

fn parse_value(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| "a level is a number such as 0.5; for several, repeat the option".to_owned())
}

fn parse_bound(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|bound: &f64| !bound.is_nan())
        .ok_or_else(|| "what peaks are compared with is a number such as 0.5".to_owned())
}

fn parse_bin(text: &str) -> Result<usize, String> {
    text.trim()
        .parse()
        .map_err(|_| "time bins are whole numbers separated by commas, as in 0,50,100".to_owned())
}

fn parse_size(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|_| {
            "a size is a number of bytes, or a number with a unit, as in 8GiB or 500MB".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, n_t: usize) -> Result<Range<usize>, String> {
        BinRange::resolve(Some(text.parse()?), n_t)
    }

    #[test]
    fn slices_resolve_as_in_python() {
        for (text, expected) in [
            (":", 0..10),
            ("2:5", 2..5),
            ("2:", 2..10),
            (":5", 0..5),
            ("-3:", 7..10),
            (":-3", 0..7),
            ("0:10", 0..10),
        ] {
            assert_eq!(resolve(text, 10), Ok(expected), "{text}");
        }
        assert_eq!(resolve(":", 0), Ok(0..0));
        assert_eq!(resolve("0:0", 0), Ok(0..0));
        assert_eq!(BinRange::resolve(None, 0), Ok(0..0));
    }

    #[test]
    fn slices_beyond_the_input_or_empty_are_refused() {
        for (text, word) in [
            ("0:11", "time bin 11"),
            ("-11:", "time bin -11"),
            ("5:5", "names no time bin"),
            ("7:3", "names no time bin"),
            ("10:", "names no time bin"),
            ("-9223372036854775808:", "time bin -9223372036854775808"),
            ("9223372036854775807:", "time bin 9223372036854775807"),
        ] {
            let sentence = resolve(text, 10).expect_err(text);
            assert!(sentence.contains(word), "{text}: {sentence}");
        }
        for text in ["5", "a:b", "1:2:3", "1.5:", "", "99999999999999999999:"] {
            assert!(text.parse::<BinRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn alphas_are_any_float() {
        for text in ["0.5", "-0.5", "1e-3", "inf", "-inf", "+2"] {
            assert!(parse_alpha(text).is_ok(), "{text}");
        }
        assert!(parse_alpha("nan").is_ok_and(f64::is_nan));
        for text in ["x", "", "0.5,0.9", "1/2"] {
            assert!(parse_alpha(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("8GiB", 8 << 30),
            ("500MB", 500_000_000),
            ("1 MiB", 1 << 20),
            ("4096", 4096),
            ("1.5KiB", 1536),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["x", "", "-1GiB", "8 apples", "."] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_name_of_the_library_can_be_typed_and_no_other() {
        fn names<const N: usize>(list: [(&'static str, &str); N]) -> [&'static str; N] {
            list.map(|(name, _)| name)
        }
        assert_eq!(names(NEIGHBOURS), Connectivity::NAMES);
        assert_eq!(names(PROMINENCES), Prominence::NAMES);
        assert_eq!(names(FORMS), MaskForm::NAMES);
        assert_eq!(names(BACKENDS), Backend::NAMES);
        assert_eq!(names(REGIONS), Region::NAMES);
        assert_eq!(names(NAN_POLICIES), NanPolicy::NAMES);
        assert_eq!(names(GPU_USES), GpuUse::NAMES);
        assert_eq!(names(ON_LIMIT), MemoryGuard::NAMES);
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
