//! What kernels do to memory and how many operations they take, counted in the SPIR-V that a Vulkan driver is given.

use std::collections::HashMap;
use std::fs;
use std::ops::{AddAssign, Range};
use std::path::Path;

use naga::back::{pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use spirv::{Op, StorageClass};

/// Texts that stand before every shader.
const COMMON: [&str; 4] = ["f32", "f64", "product", "shared"];
/// The deepest that loops are nested, and one.
const DEPTHS: usize = 3;

/// What is executed once, if every branch is taken: more than any invocation does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Bytes of buffers.
    pub(crate) read: u32,
    pub(crate) written: u32,
    /// On integers and booleans, each component of a vector for itself.
    pub(crate) operations: u32,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.operations += other.operations;
    }
}

/// A kernel's counts: outside of loops, in loops, and in loops within loops, each for one iteration.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) depths: [Count; DEPTHS],
}

/// Counts all kernels of a folder's shaders for values of a type, `f32` or `f64`.
pub(crate) fn kernels(folder: &Path, values: &str) -> Vec<Kernel> {
    let files =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut stems: Vec<_> = files
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .filter(|stem| !COMMON.contains(&&**stem))
        .collect();
    stems.sort();
    let mut kernels = Vec::new();
    for file in &stems {
        let text = |stem: &str| {
            let path = folder.join(stem).with_extension("wgsl");
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let source = [values, "product", "shared", file].map(text).join("\n");
        let module = naga::front::wgsl::parse_str(&source).expect("a valid shader");
        for entry in &module.entry_points {
            let words = spirv(&module, &entry.name);
            let depths = Program::new(&words).entry_point();
            let name = format!("{file}: {}", entry.name);
            kernels.push(Kernel { name, depths });
        }
    }
    kernels
}

/// An entry point as wgpu hands it to a Vulkan driver that keeps indices within buffers by itself.
fn spirv(module: &naga::Module, entry: &str) -> Vec<u32> {
    let stage = naga::ShaderStage::Compute;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(module)
        .expect("a valid shader");
    let numbers = [
        ("GROUP", 64.0),
        ("ITERATIONS", 32_768.0),
        ("PEAKS", 1.0),
        ("LEVELS", 2.0),
    ];
    let switches = ["EIGHT", "WHOLE", "OFF_TRACK"].map(|name| (name, 0.0));
    let constants = numbers.into_iter().chain(switches);
    // Those that these shaders have.
    let known = |name: &str| {
        let mut overrides = module.overrides.iter();
        overrides.any(|(_, constant)| constant.name.as_deref() == Some(name))
    };
    let constants = constants
        .filter(|(name, _)| known(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let (module, info) =
        pipeline_constants::process_overrides(module, &info, Some((stage, entry)), &constants)
            .expect("constants for all overrides");
    let options = spv::Options {
        lang_version: (1, 3),
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Restrict,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: true,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions {
        shader_stage: stage,
        entry_point: entry.to_owned(),
    };
    spv::write_vec(&module, &info, &options, Some(&pipeline)).expect("SPIR-V")
}

/// An instruction: its operation, and its words after the first.
#[derive(Debug, Clone, Copy)]
struct Instruction<'w> {
    op: Op,
    operands: &'w [u32],
}

/// A module of SPIR-V.
struct Program<'w> {
    instructions: Vec<Instruction<'w>>,
    /// Of the types of scalars, vectors and structures, by number.
    bytes: HashMap<u32, u32>,
    components: HashMap<u32, u32>,
    /// What pointers point to, of those into buffers, by the pointer's number.
    in_buffers: HashMap<u32, u32>,
    /// By the function's number.
    functions: HashMap<u32, Range<usize>>,
    /// Conditions that are known beforehand.
    constants: HashMap<u32, bool>,
    /// The number of the one entry point's function.
    main: u32,
}

impl<'w> Program<'w> {
    fn new(words: &'w [u32]) -> Self {
        let mut instructions = Vec::new();
        let mut rest = &words[5..];
        while let Some(&first) = rest.first() {
            let (instruction, others) = rest.split_at((first >> 16) as usize);
            let op = Op::from_u32(first & 0xffff).expect("a known operation");
            instructions.push(Instruction {
                op,
                operands: &instruction[1..],
            });
            rest = others;
        }
        let mut program = Self {
            instructions: Vec::new(),
            bytes: HashMap::new(),
            components: HashMap::new(),
            in_buffers: HashMap::new(),
            functions: HashMap::new(),
            constants: HashMap::new(),
            main: 0,
        };
        let mut buffer_pointers = HashMap::new();
        let mut begun = (0, 0);
        for (at, &Instruction { op, operands }) in instructions.iter().enumerate() {
            match (op, operands) {
                (Op::EntryPoint, &[_, function, ..]) => program.main = function,
                (Op::ConstantTrue, &[_, id]) => drop(program.constants.insert(id, true)),
                (Op::ConstantFalse, &[_, id]) => drop(program.constants.insert(id, false)),
                (Op::TypeBool, &[id]) => drop(program.bytes.insert(id, 0)),
                (Op::TypeInt, &[id, bits, ..]) => drop(program.bytes.insert(id, bits / 8)),
                (Op::TypeVector, &[id, component, n]) => {
                    let bytes = program.bytes.get(&component).copied().unwrap_or(0);
                    program.bytes.insert(id, n * bytes);
                    program.components.insert(id, n);
                }
                (Op::TypeStruct, &[id, ref members @ ..]) => {
                    let of = |member| program.bytes.get(member).copied().unwrap_or(0);
                    let bytes = members.iter().map(of).sum();
                    program.bytes.insert(id, bytes);
                }
                (Op::TypePointer, &[id, class, to])
                    if class == StorageClass::StorageBuffer as u32 =>
                {
                    buffer_pointers.insert(id, to);
                }
                (Op::AccessChain | Op::Variable, &[ty, id, ..]) => {
                    if let Some(&to) = buffer_pointers.get(&ty) {
                        program.in_buffers.insert(id, to);
                    }
                }
                (Op::Function, &[_, id, ..]) => begun = (id, at),
                (Op::FunctionEnd, _) => drop(program.functions.insert(begun.0, begun.1..at)),
                _ => {}
            }
        }
        program.instructions = instructions;
        program
    }

    fn entry_point(&self) -> [Count; DEPTHS] {
        self.function(self.main)
    }

    /// A function's counts, with those of the functions that it calls. Loops are told by where their blocks stand: between
    /// the header and the block that it names as the one after the loop.
    fn function(&self, id: u32) -> [Count; DEPTHS] {
        let mut depths = [Count::default(); DEPTHS];
        let mut ends = Vec::new();
        // The block after the choice at hand; and where what is never chosen begins, and where it ends.
        let mut after = 0;
        let mut never: Option<(u32, [u32; 2])> = None;
        let mut dead: Option<[u32; 2]> = None;
        for &instruction in &self.instructions[self.functions[&id].clone()] {
            let Instruction { op, operands } = instruction;
            if op == Op::Label {
                dead = dead.filter(|ends| !ends.contains(&operands[0]));
                if let Some((_, ends)) = never.take_if(|(first, _)| *first == operands[0]) {
                    dead = dead.or(Some(ends));
                }
            }
            if dead.is_some() {
                continue;
            }
            match op {
                Op::Label => ends.retain(|&end| end != operands[0]),
                Op::SelectionMerge => after = operands[0],
                Op::BranchConditional => match self.constants.get(&operands[0]) {
                    Some(true) if operands[2] != after => {
                        never = Some((operands[2], [after, after]));
                    }
                    Some(false) if operands[1] != after => {
                        never = Some((operands[1], [operands[2], after]));
                    }
                    _ => {}
                },
                Op::LoopMerge => ends.push(operands[0]),
                Op::FunctionCall => {
                    for (depth, count) in self.function(operands[2]).into_iter().enumerate() {
                        depths[(ends.len() + depth).min(DEPTHS - 1)] += count;
                    }
                }
                _ => depths[ends.len().min(DEPTHS - 1)] += self.count(instruction),
            }
        }
        depths
    }

    fn count(&self, Instruction { op, operands }: Instruction<'_>) -> Count {
        let bytes = |id: u32| {
            let to = self.in_buffers.get(&id);
            to.and_then(|to| self.bytes.get(to)).copied().unwrap_or(0)
        };
        match op {
            Op::Load => Count {
                read: bytes(operands[2]),
                ..Count::default()
            },
            Op::AtomicLoad => Count {
                read: 4,
                ..Count::default()
            },
            Op::Store => Count {
                written: bytes(operands[0]),
                ..Count::default()
            },
            Op::AtomicUMin => Count {
                read: 4,
                written: 4,
                operations: 1,
            },
            Op::AtomicStore => Count {
                written: 4,
                ..Count::default()
            },
            Op::IAdd
            | Op::ISub
            | Op::IMul
            | Op::UDiv
            | Op::UMod
            | Op::SNegate
            | Op::Not
            | Op::ShiftLeftLogical
            | Op::ShiftRightLogical
            | Op::ShiftRightArithmetic
            | Op::BitwiseAnd
            | Op::BitwiseOr
            | Op::BitwiseXor
            | Op::BitCount
            | Op::BitReverse
            | Op::ExtInst
            | Op::Select
            | Op::LogicalAnd
            | Op::LogicalOr
            | Op::LogicalNot
            | Op::LogicalEqual
            | Op::IEqual
            | Op::INotEqual
            | Op::UGreaterThan
            | Op::UGreaterThanEqual
            | Op::ULessThan
            | Op::ULessThanEqual
            | Op::All
            | Op::Any => Count {
                operations: self.components.get(&operands[0]).copied().unwrap_or(1),
                ..Count::default()
            },
            _ => Count::default(),
        }
    }
}
