//! Kernels: the table of what runs on a device, their sources and their pipelines.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};

use super::arrays::{Array, Sizes};
use super::device::{Device, Failure};
use super::pace::Pace;
use super::plan::{GpuPlan, ITERATIONS};
use crate::tuning::Demand;
use crate::tuning::GpuFault;
use crate::{Connectivity, Dtype, NanPolicy, Region};

/// A part of a submission whose time is taken: an index into [`GpuSeconds::STAGES`](crate::GpuSeconds::STAGES).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Survey,
    Threshold,
    Flood,
    Bases,
    Pack,
    Collect,
}

/// What a submission does: the whole of a batch, more of what was left pending, the results once that is done, or more of
/// its peaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Rest,
    Results,
    Rows,
}

impl Part {
    /// What a submission does, in a message.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Whole => "analysing a batch",
            Self::Rest => "continuing a batch",
            Self::Results => "collecting results",
            Self::Rows => "collecting further peaks",
        }
    }
}

/// Runs in the first submission of a batch alone.
const ONCE: &[Part] = &[Part::Whole];
/// Runs again when something was left pending.
const AGAIN: &[Part] = &[Part::Whole, Part::Rest];
/// Puts results in order, in the first submission and after the last.
const RESULTS: &[Part] = &[Part::Whole, Part::Results];
/// Takes results out.
const ROWS: &[Part] = &[Part::Whole, Part::Results, Part::Rows];

/// The result for which a kernel is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Masks,
    Peaks,
    Both,
}

impl For {
    /// Whether it is among the results that are wanted.
    fn is_wanted(self, masks: bool, peaks: bool) -> bool {
        match self {
            Self::Masks => masks,
            Self::Peaks => peaks,
            Self::Both => true,
        }
    }
}

/// How often a kernel is dispatched in a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    One,
    /// It takes turns with its neighbours in the table of which that is said too, in so many rounds.
    Rounds(u32),
    /// It can end anywhere and go on in the next dispatch: as often as the submission has room for.
    Resumed,
}

/// One entry point of a shader.
pub(crate) struct Kernel {
    pub(crate) stage: Stage,
    /// Stem of its file.
    pub(crate) file: &'static str,
    pub(crate) entry: &'static str,
    needed_for: For,
    parts: &'static [Part],
    pub(super) times: Times,
    /// The arrays that it touches.
    pub(crate) arrays: &'static [Array],
    /// Invocations for each lane; 0: one workgroup for all.
    pub(crate) tasks: fn(&Sizes) -> u64,
}

impl Kernel {
    /// How often it is dispatched in this part of a batch of this size.
    pub(super) fn dispatches(&self, part: Part, sizes: &Sizes, resumed: u32) -> u32 {
        if !self.parts.contains(&part) || !self.needed_for.is_wanted(sizes.levels > 0, sizes.peaks)
        {
            return 0;
        }
        match self.times {
            Times::One => 1,
            Times::Rounds(rounds) => rounds,
            Times::Resumed => resumed,
        }
    }

    /// Workgroups in each dimension.
    pub(super) fn groups(&self, sizes: &Sizes, plan: &GpuPlan, most: u64) -> [u32; 3] {
        match (self.tasks)(sizes) {
            0 => [1, 1, 1],
            tasks => {
                let across = sizes.lanes.div_ceil(u64::from(plan.group));
                [tasks.min(most), across, tasks.div_ceil(most)].map(|n| n as u32)
            }
        }
    }
}

/// Declares the kernels, in the order in which they run.
macro_rules! kernels {
    ($($stage:ident: $file:literal $entry:literal, $for:ident, $parts:ident, $times:expr,
        [$($array:ident),*], $tasks:expr;)*) => {
        /// All kernels, in the order in which they run.
        pub(crate) const KERNELS: &[Kernel] = &[$(Kernel {
            stage: Stage::$stage,
            file: $file,
            entry: $entry,
            needed_for: For::$for,
            parts: $parts,
            times: $times,
            arrays: &[$(Array::$array),*],
            tasks: $tasks,
        }),*];
    };
}

/// The most levels that values are compared with at once: as many as have their thresholds and bits in registers.
const LEVELS: usize = 4;
/// Rounds of passing on in blocks of rows side by side, so many that what they cannot settle is rare.
const ROUNDS: Times = Times::Rounds(3);

kernels! {
    Survey: "survey" "survey", Both, ONCE, Times::One, [Values, Partials, Peaks, Rims], Sizes::survey_blocks;
    Survey: "survey" "join", Both, ONCE, Times::One, [Levels, Partials, Surveys, Thresholds], |_| 1;
    Threshold: "threshold" "threshold", Both, ONCE, Times::One,
        [Values, Partials, Surveys, Thresholds, Above, Peaks], Sizes::patches;
    Flood: "flood" "seed", Masks, ONCE, Times::One, [Surveys, Above, Filled, Floods], |sizes| sizes.levels;
    Flood: "flood" "flood", Masks, AGAIN, Times::Resumed, [Above, Filled, Floods], |sizes| sizes.levels;
    Bases: "bases" "rim", Peaks, ONCE, Times::One, [Values, Surveys, Peaks, Rims], Sizes::map_words;
    Bases: "bases" "share_even", Peaks, ONCE, ROUNDS, [Surveys, Peaks, Rims], Sizes::share_pairs;
    Bases: "bases" "share_odd", Peaks, ONCE, ROUNDS, [Surveys, Peaks, Rims], Sizes::share_pairs;
    Bases: "bases" "settle", Peaks, ONCE, Times::One, [Surveys, Peaks, Rims, Restless], Sizes::map_words;
    Bases: "bases" "spread", Peaks, AGAIN, Times::Resumed, [Peaks, Rims, Plateaus, Restless], |_| 1;
    Pack: "pack" "pack", Masks, RESULTS, Times::One, [Above, Filled, Masks], |sizes| sizes.levels * sizes.map_words();
    // Counts become sums in place: whoever adds up again counts again.
    Collect: "collect" "count", Peaks, RESULTS, Times::One, [Peaks, Before], Sizes::list_blocks;
    Collect: "collect" "sum", Both, RESULTS, Times::One, [Before, Tally], |_| 1;
    Collect: "collect" "remain", Both, AGAIN, Times::One, [Floods, Plateaus, Tally], |_| 1;
    Collect: "collect" "order", Peaks, RESULTS, Times::One, [Tally], |_| 0;
    Collect: "collect" "collect", Peaks, ROWS, Times::One,
        [Values, Surveys, Peaks, Rims, Before, Tally, RowCells, RowValues], Sizes::list_blocks;
}

/// Shader sources by stem.
const FILES: [(&str, &str); 6] = [
    ("survey", include_str!("../../shaders/survey.wgsl")),
    ("threshold", include_str!("../../shaders/threshold.wgsl")),
    ("flood", include_str!("../../shaders/flood.wgsl")),
    ("bases", include_str!("../../shaders/bases.wgsl")),
    ("pack", include_str!("../../shaders/pack.wgsl")),
    ("collect", include_str!("../../shaders/collect.wgsl")),
];

/// The whole text of a shader, for values of a type.
pub(crate) fn source(file: &str, dtype: Dtype) -> String {
    let values = match dtype {
        Dtype::F32 => include_str!("../../shaders/f32.wgsl"),
        Dtype::F64 => include_str!("../../shaders/f64.wgsl"),
    };
    let body = FILES
        .iter()
        .find(|(stem, _)| *stem == file)
        .map_or("", |(_, body)| body);
    [
        values,
        include_str!("../../shaders/product.wgsl"),
        include_str!("../../shaders/shared.wgsl"),
        body,
    ]
    .join("\n")
}

/// What the kernels of a submission are told; `Params` of `shaders/shared.wgsl`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Params {
    pub(crate) n_x: u32,
    pub(crate) n_y: u32,
    pub(crate) words: u32,
    pub(crate) lanes: u32,
    pub(crate) bins: u32,
    pub(crate) levels: u32,
    pub(crate) survey_words: u32,
    pub(crate) survey_blocks: u32,
    pub(crate) list_words: u32,
    pub(crate) list_blocks: u32,
    pub(crate) first_row: u32,
    pub(crate) rows: u32,
    pub(crate) room: u32,
    pub(crate) fold: u32,
    pub(crate) iterations: u32,
    pub(crate) share_rows: u32,
}

impl Params {
    /// Those of a batch of `bins` bins. All sizes have been checked to fit a device, and so a `u32`.
    pub(super) fn new(sizes: &Sizes, bins: usize, room: u64, fold: u64) -> Self {
        Self {
            n_x: sizes.n_x as u32,
            n_y: sizes.n_y as u32,
            words: sizes.words() as u32,
            lanes: sizes.lanes as u32,
            bins: bins as u32,
            levels: sizes.levels as u32,
            survey_words: sizes.survey_words() as u32,
            survey_blocks: sizes.survey_blocks() as u32,
            list_words: sizes.list_words() as u32,
            list_blocks: sizes.list_blocks() as u32,
            first_row: 0,
            rows: sizes.rows as u32,
            room: room as u32,
            fold: fold as u32,
            iterations: 0,
            share_rows: sizes.share_rows() as u32,
        }
    }
}

/// What pipelines are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(super) dtype: Dtype,
    pub(super) connectivity: Connectivity,
    pub(super) region: Region,
    pub(super) off_track: bool,
    /// Levels that are looked at together; none where no masks are wanted.
    pub(super) levels: u32,
    pub(super) peaks: bool,
    pub(super) group: u32,
    pub(super) unbounded_loops: bool,
    pub(super) fault: Option<GpuFault>,
    /// Whether it is probed with a fault in it too.
    pub(super) probed: bool,
}

impl Variant {
    /// What is needed for what is asked.
    pub(crate) fn of(dtype: Dtype, demand: Demand<'_>) -> Self {
        let tuning = demand.tuning;
        Self {
            dtype,
            connectivity: demand.connectivity,
            region: demand.region,
            off_track: demand.nan_policy == NanPolicy::OffTrack,
            levels: demand.levels.min(LEVELS) as u32,
            peaks: demand.peaks,
            group: GpuPlan::group(tuning),
            unbounded_loops: tuning.unbounded_loops,
            fault: tuning.fault,
            probed: tuning.probed,
        }
    }
}

/// The compiled kernels of a variant.
#[derive(Debug)]
pub(super) struct Pipelines {
    pub(super) variant: Variant,
    /// By position in [`KERNELS`]; none for kernels that the variant does not use.
    list: Vec<Option<wgpu::ComputePipeline>>,
    /// How fast the device has been with them.
    pub(super) pace: Pace,
}

impl Pipelines {
    pub(super) fn compile(device: &Device, variant: Variant) -> Result<Self, Failure> {
        let switch = |on: bool| f64::from(u8::from(on));
        let constants = [
            ("GROUP", f64::from(variant.group)),
            ("ITERATIONS", f64::from(ITERATIONS)),
            ("EIGHT", switch(variant.connectivity == Connectivity::Eight)),
            ("WHOLE", switch(variant.region == Region::Whole)),
            ("OFF_TRACK", switch(variant.off_track)),
            ("PEAKS", switch(variant.peaks)),
            ("LEVELS", f64::from(variant.levels)),
        ];
        let list = KERNELS
            .iter()
            .map(|kernel| {
                if !kernel
                    .needed_for
                    .is_wanted(variant.levels > 0, variant.peaks)
                {
                    return Ok(None);
                }
                let mut source = source(kernel.file, variant.dtype);
                if let Some(fault) = variant.fault.filter(|fault| fault.file == kernel.file) {
                    assert!(
                        source.contains(fault.from),
                        "{fault:?} is not in the shader"
                    );
                    source = source.replace(fault.from, fault.to);
                }
                device
                    .checked("compiling kernels", || {
                        // What a fault does to a loop has not been looked at.
                        let unbounded = variant.unbounded_loops && variant.fault.is_none();
                        let module = module(device, kernel.file, source, unbounded);
                        device
                            .device
                            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                                label: Some(kernel.entry),
                                layout: None,
                                module: &module,
                                entry_point: Some(kernel.entry),
                                compilation_options: wgpu::PipelineCompilationOptions {
                                    constants: &constants,
                                    // Every word is written before it is read.
                                    zero_initialize_workgroup_memory: false,
                                },
                                cache: None,
                            })
                    })
                    .map(Some)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            variant,
            list,
            pace: Pace::default(),
        })
    }

    /// The kernels of the table, in its order; none in the places of those that the variant does not need.
    pub(super) fn list(&self) -> &[Option<wgpu::ComputePipeline>] {
        &self.list
    }
}

fn module(
    device: &Device,
    label: &str,
    source: String,
    unbounded_loops: bool,
) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(Cow::Owned(source)),
    };
    if unbounded_loops {
        trusted(device, descriptor)
    } else {
        device.device.create_shader_module(descriptor)
    }
}

/// A module whose loops are not counted by the compiler; for measurements.
#[expect(
    unsafe_code,
    reason = "a shader module that is trusted to end its loops"
)]
fn trusted(device: &Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    let mut checks = wgpu::ShaderRuntimeChecks::checked();
    checks.force_loop_bounding = false;
    // SAFETY: every loop of our kernels counts up to a bound that the plan has proved small; all other checks stay.
    unsafe {
        device
            .device
            .create_shader_module_trusted(descriptor, checks)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::mem::offset_of;

    use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
    use naga::{Module, TypeInner};

    use super::*;
    use crate::GpuSeconds;

    fn parsed(file: &str, dtype: Dtype) -> (Module, ModuleInfo) {
        let source = source(file, dtype);
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{file}: {}", error.emit_to_string(&source)));
        let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{file}: {}", error.emit_to_string(&source)));
        (module, info)
    }

    /// `RowCells` as `row_cells`.
    fn snake(array: Array) -> String {
        let mut name = String::new();
        for letter in format!("{array:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    #[test]
    fn stages_are_named_in_the_report() {
        let last = Stage::Collect as usize;
        assert_eq!(last + 1, GpuSeconds::STAGES.len());
        for stage in [
            Stage::Survey,
            Stage::Threshold,
            Stage::Flood,
            Stage::Bases,
            Stage::Pack,
            Stage::Collect,
        ] {
            let name = format!("{stage:?}").to_lowercase();
            assert_eq!(GpuSeconds::STAGES[stage as usize], name);
        }
    }

    #[test]
    fn params_lie_where_shaders_look_for_them() {
        macro_rules! offsets {
            ($($field:ident)*) => { [$((stringify!($field), offset_of!(Params, $field))),*] };
        }
        let here = offsets! {
            n_x n_y words lanes bins levels survey_words survey_blocks list_words list_blocks first_row rows room fold iterations share_rows
        };
        for (file, _) in FILES {
            let (module, _) = parsed(file, Dtype::F64);
            let (_, ty) = module
                .types
                .iter()
                .find(|(_, ty)| ty.name.as_deref() == Some("Params"))
                .expect("shaders share Params");
            let TypeInner::Struct { members, span } = &ty.inner else {
                panic!("{ty:?}")
            };
            let there: Vec<_> = members
                .iter()
                .map(|member| {
                    let name = member.name.as_deref().expect("members have names");
                    (name, member.offset as usize)
                })
                .collect();
            assert_eq!(here[..], there[..], "{file}");
            assert_eq!(size_of::<Params>(), 4 * here.len());
            assert!(*span as usize <= crate::gpu::arrays::PARAMS_BYTES as usize);
            assert_eq!(
                (*span as usize).next_multiple_of(16),
                size_of::<Params>().next_multiple_of(16)
            );
        }
    }

    #[test]
    fn the_table_has_the_shaders_arrays_under_their_numbers() {
        let here: BTreeMap<_, _> = Array::ALL
            .iter()
            .map(|&array| (array as u32, snake(array)))
            .chain([(0, "p".to_owned())])
            .collect();
        for dtype in [Dtype::F32, Dtype::F64] {
            let (module, _) = parsed("collect", dtype);
            let there: BTreeMap<_, _> = module
                .global_variables
                .iter()
                .filter_map(|(_, variable)| {
                    let binding = variable.binding.as_ref()?;
                    assert_eq!(binding.group, 0);
                    Some((binding.binding, variable.name.clone().unwrap_or_default()))
                })
                .collect();
            assert_eq!(here, there);
        }
    }

    /// Bytes of an element of every array, as the plan counts them and as shaders have them.
    #[test]
    fn the_table_counts_the_bytes_that_shaders_use() {
        for dtype in [Dtype::F32, Dtype::F64] {
            let sizes = Sizes {
                n_x: 1,
                n_y: 1,
                dtype,
                levels: 1,
                mapped: false,
                peaks: true,
                lanes: 1,
                rows: 1,
            };
            let (module, _) = parsed("collect", dtype);
            for (_, variable) in module.global_variables.iter() {
                let Some(binding) = variable.binding.as_ref().filter(|b| b.binding > 0) else {
                    continue;
                };
                let array = Array::ALL[binding.binding as usize - 1];
                let TypeInner::Array { stride, .. } = module.types[variable.ty].inner else {
                    panic!("{variable:?}")
                };
                let elements = match array {
                    Array::Tally => 3,
                    Array::RowValues => 2,
                    _ => 1,
                };
                assert_eq!(
                    array.bytes(&sizes),
                    elements * u64::from(stride),
                    "{array:?}"
                );
            }
        }
    }

    /// A pipeline's layout is made of what its entry point uses, and takes neither more nor less.
    #[test]
    fn each_row_of_the_table_names_what_its_entry_point_uses() {
        for dtype in [Dtype::F32, Dtype::F64] {
            let mut entries = 0;
            for (file, _) in FILES {
                let (module, info) = parsed(file, dtype);
                entries += module.entry_points.len();
                for (number, entry) in module.entry_points.iter().enumerate() {
                    let kernel = KERNELS
                        .iter()
                        .find(|kernel| (kernel.file, kernel.entry) == (file, &entry.name))
                        .unwrap_or_else(|| panic!("{file}, {} is in no row", entry.name));
                    let uses = info.get_entry_point(number);
                    let mut used: Vec<_> = module
                        .global_variables
                        .iter()
                        .filter(|&(variable, _)| !uses[variable].is_empty())
                        .filter_map(|(_, variable)| Some(variable.binding.as_ref()?.binding))
                        .collect();
                    used.sort_unstable();
                    let row = kernel.arrays.iter().map(|&array| array as u32);
                    let row: Vec<_> = [0].into_iter().chain(row).collect();
                    assert_eq!(used, row, "{file}, {}", entry.name);
                }
            }
            assert_eq!(entries, KERNELS.len());
        }
    }
}
