//! Shaders without a device: every target's compiler takes them, they know integers alone, and each has its twin.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use naga::back::{hlsl, msl, pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Literal, Module, ScalarKind, StorageAccess, TypeInner};

/// Shaders of a stage that the CPU engine has too.
const TWINS: [&str; 4] = ["survey", "threshold", "flood", "bases"];
/// Stages of the CPU engine that another stage's shader does as well, and tells of in its header.
const TOGETHER: [(&str, &str); 1] = [("peaks", "survey")];
/// Shaders that count and move, and decide nothing.
const LAYOUT_KERNELS: [&str; 2] = ["pack", "collect"];
/// Texts that stand before each shader, the first of them one for each element type.
const TYPES: [&str; 2] = ["f32", "f64"];
const COMMON: [&str; 2] = ["product", "shared"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shader(stem: &str) -> String {
    text(&folder("shaders").join(stem).with_extension("wgsl"))
}

/// A parsed and validated shader for one element type.
struct Shader {
    name: String,
    module: Module,
    info: ModuleInfo,
}

impl Shader {
    fn new(stem: &str, values: &str) -> Self {
        let parts = [values].into_iter().chain(COMMON).chain([stem]);
        let source = parts.map(shader).collect::<Vec<_>>().join("\n");
        Self::parse(format!("{stem} of {values}"), &source)
            .unwrap_or_else(|error| panic!("{stem} of {values}: {error}"))
    }

    fn parse(name: String, source: &str) -> Result<Self, String> {
        let module =
            naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
        // No capability: nothing that a device need not have.
        let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .map_err(|error| error.emit_to_string(source))?;
        Ok(Self { name, module, info })
    }

    fn all() -> Vec<Self> {
        let stems = TWINS.into_iter().chain(LAYOUT_KERNELS);
        stems
            .flat_map(|stem| TYPES.map(|values| Self::new(stem, values)))
            .collect()
    }
}

#[test]
fn every_file_is_known() {
    let known = TWINS
        .into_iter()
        .chain(LAYOUT_KERNELS)
        .chain(TYPES)
        .chain(COMMON);
    let known: BTreeSet<_> = known.map(|stem| format!("{stem}.wgsl")).collect();
    let there: BTreeSet<_> = fs::read_dir(folder("shaders"))
        .expect("the folder can be read")
        .map(|entry| entry.expect("the entry can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert_eq!(known, there);
}

#[test]
fn every_target_takes_every_entry_point() {
    for shader in Shader::all() {
        for entry in &shader.module.entry_points {
            // 64 is no multiple of every width there is, but of all that matter; every switch off, and on.
            for switch in [0.0, 1.0] {
                let constants = [
                    ("GROUP", 64.0),
                    ("ITERATIONS", 32_768.0),
                    ("EIGHT", switch),
                    ("WHOLE", switch),
                    ("OFF_TRACK", switch),
                    ("PEAKS", switch),
                    ("LEVELS", 4.0 * switch),
                ];
                let constants = constants.map(|(name, value)| (name.to_owned(), value));
                let name = format!("{}, {}", shader.name, entry.name);
                write(&shader, &name, &entry.name, &constants.into());
            }
        }
    }
}

/// Writes one entry point for Vulkan, Metal and DirectX 12, with the options of wgpu 30: indices are kept within arrays,
/// loops are counted, and workgroup memory is not filled beforehand, as the engine asks.
fn write(shader: &Shader, name: &str, entry: &str, constants: &naga::back::PipelineConstants) {
    let stage = naga::ShaderStage::Compute;
    let (module, info) = pipeline_constants::process_overrides(
        &shader.module,
        &shader.info,
        Some((stage, entry)),
        constants,
    )
    .unwrap_or_else(|error| panic!("{name}, overrides: {error}"));
    let bindings: Vec<_> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| Some((variable.binding?, variable.space)))
        .collect();

    // Devices that keep buffers' indices within bounds by themselves are trusted with that.
    for (version, target, buffer) in [
        ((1, 0), "vulkan1.0", BoundsCheckPolicy::Restrict),
        ((1, 6), "vulkan1.3", BoundsCheckPolicy::Unchecked),
    ] {
        let options = spv::Options {
            lang_version: version,
            bounds_check_policies: BoundsCheckPolicies {
                index: BoundsCheckPolicy::Restrict,
                buffer,
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
        let words = spv::write_vec(&module, &info, &options, Some(&pipeline))
            .unwrap_or_else(|error| panic!("{name}, SPIR-V: {error}"));
        assert!(words.len() > 50, "{name}: {} words of SPIR-V", words.len());
        if let Some(complaint) = complaint(&words, target) {
            panic!("{name}, {target}: {complaint}");
        }
    }

    // Buffers one after the other, then the lengths of all arrays without a fixed one.
    let mut resources = msl::EntryPointResources::default();
    for (slot, &(binding, space)) in bindings.iter().enumerate() {
        let target = msl::BindTarget {
            buffer: Some(slot as u8),
            mutable: matches!(space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE)),
            ..Default::default()
        };
        resources.resources.insert(binding, target);
    }
    resources.sizes_buffer = Some(resources.resources.len() as u8);
    // The first version that can reverse bits.
    let options = msl::Options {
        lang_version: (2, 1),
        per_entry_point_map: [(entry.to_owned(), resources)].into(),
        spirv_cross_compatibility: false,
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Restrict,
            image_load: BoundsCheckPolicy::Restrict,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: true,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some((stage, entry.to_owned())),
        ..Default::default()
    };
    let (metal, _) = msl::write_string(&module, &info, &options, &pipeline)
        .unwrap_or_else(|error| panic!("{name}, MSL: {error}"));
    assert!(metal.contains("kernel void"), "{name}: {metal}");
    // Every entry point has an array, and what it reads of it lies within.
    assert!(
        metal.contains("_buffer_sizes") && metal.contains("metal::min(unsigned("),
        "{name}: {metal}"
    );

    // Without a compiler of its own, DirectX 12 takes the older language.
    for shader_model in [hlsl::ShaderModel::V5_1, hlsl::ShaderModel::V6_0] {
        let mut binding_map = hlsl::BindingMap::default();
        for (register, &(binding, _)) in bindings.iter().enumerate() {
            let target = hlsl::BindTarget {
                register: register as u32,
                restrict_indexing: true,
                ..Default::default()
            };
            binding_map.insert(binding, target);
        }
        let options = hlsl::Options {
            shader_model,
            binding_map,
            fake_missing_bindings: false,
            zero_initialize_workgroup_memory: false,
            restrict_indexing: true,
            force_loop_bounding: true,
            ..Default::default()
        };
        let pipeline = hlsl::PipelineOptions {
            entry_point: Some((stage, entry.to_owned())),
        };
        let mut direct = String::new();
        hlsl::Writer::new(&mut direct, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{name}, HLSL {shader_model:?}: {error}"));
        // A scan over all lanes has a workgroup of its own size.
        let group = if entry == "order" { 256 } else { 64 };
        assert!(
            direct.contains(&format!("numthreads({group},")),
            "{name}: {direct}"
        );
    }
}

/// What the validator of SPIR-V says against a module, if it is installed; `PEAKMASK_TEST_SPIRV=require` makes its absence a
/// failure.
fn complaint(words: &[u32], target: &str) -> Option<String> {
    static HERE: LazyLock<bool> = LazyLock::new(|| {
        let here = Command::new("spirv-val").arg("--version").output().is_ok();
        let required = std::env::var("PEAKMASK_TEST_SPIRV").is_ok_and(|value| value == "require");
        assert!(
            here || !required,
            "PEAKMASK_TEST_SPIRV=require: there is no spirv-val"
        );
        here
    });
    if !*HERE {
        return None;
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be written");
    for word in words {
        let written = file.write_all(&word.to_ne_bytes());
        written.expect("a temporary file can be written");
    }
    let output = Command::new("spirv-val")
        .args(["--target-env", target])
        .arg(file.path())
        .output()
        .expect("it ran before");
    let text = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&text).into_owned())
}

/// A module that is no good is complained of, where there is a validator.
#[test]
fn the_validator_of_spirv_is_asked() {
    let there = Command::new("spirv-val").arg("--version").output().is_ok();
    let nonsense = complaint(
        &[0x0723_0203, 0x0001_0000, 0, 1, 0, 0xffff_ffff],
        "vulkan1.0",
    );
    assert_eq!(nonsense.is_some(), there);
}

#[test]
fn no_shader_knows_a_float() {
    for shader in Shader::all() {
        assert_eq!(float_of(&shader.module), None, "{}", shader.name);
    }
    let seen = |source: &str| {
        let shader = Shader::parse("a shader with floats".to_owned(), source);
        float_of(&shader.expect("it is valid").module)
    };
    for (source, what) in [
        ("fn f(a: u32) -> u32 { return u32(f32(a) * 2); }", "type"),
        ("fn f(a: u32) -> u32 { return u32(f32(a)); }", "cast"),
        (
            "fn f(a: u32) -> vec2<u32> { return bitcast<vec2<u32>>(vec2<f32>()); }",
            "type",
        ),
        ("var<private> v: array<vec2<f32>, 3>;", "type"),
        ("struct S { a: u32, b: f32 } var<private> v: S;", "type"),
    ] {
        assert!(seen(source).is_some(), "a {what} is not seen in {source}");
    }
}

/// What the parser computes itself leaves no trace in the module.
#[test]
fn no_shader_writes_a_float() {
    let stems = TWINS
        .into_iter()
        .chain(LAYOUT_KERNELS)
        .chain(TYPES)
        .chain(COMMON);
    for stem in stems {
        for line in shader(stem).lines() {
            let code = line.split("//").next().unwrap_or_default();
            let types = ["f16", "f32", "f64"].iter().any(|name| code.contains(name));
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '.' && c != '_');
            let point = words.filter(|word| word.contains('.')).any(|word| {
                word.trim_start_matches('.')
                    .starts_with(|c: char| c.is_ascii_digit())
            });
            assert!(!types && !point, "{stem}.wgsl: {line}");
        }
    }
}

/// The first float of a module: a type, a literal, or a cast to one.
fn float_of(module: &Module) -> Option<String> {
    let is_float = |kind| matches!(kind, ScalarKind::Float | ScalarKind::AbstractFloat);
    let types = module.types.iter().filter_map(|(_, ty)| {
        let scalar = match ty.inner {
            TypeInner::Scalar(scalar)
            | TypeInner::Vector { scalar, .. }
            | TypeInner::Matrix { scalar, .. }
            | TypeInner::Atomic(scalar)
            | TypeInner::ValuePointer { scalar, .. } => scalar,
            // Made of other types of the arena.
            TypeInner::Pointer { .. } | TypeInner::Array { .. } | TypeInner::Struct { .. } => {
                return None;
            }
            _ => return Some(format!("type {ty:?}, of which no kernel has a use")),
        };
        is_float(scalar.kind).then(|| format!("type {ty:?}"))
    });
    let functions = module
        .functions
        .iter()
        .map(|(_, function)| function)
        .chain(module.entry_points.iter().map(|entry| &entry.function));
    let expressions = functions
        .flat_map(|function| function.expressions.iter())
        .chain(module.global_expressions.iter())
        .filter_map(|(_, expression)| match expression {
            naga::Expression::Literal(
                Literal::F16(_) | Literal::F32(_) | Literal::F64(_) | Literal::AbstractFloat(_),
            ) => Some(format!("{expression:?}")),
            naga::Expression::As { kind, .. } if is_float(*kind) => Some(format!("{expression:?}")),
            _ => None,
        });
    types.chain(expressions).next()
}

#[test]
fn numbers_come_from_the_program() {
    for shader in Shader::all() {
        let overrides = &shader.module.overrides;
        let names: BTreeSet<_> = overrides
            .iter()
            .filter_map(|(_, number)| number.name.as_deref())
            .collect();
        assert_eq!(
            names,
            BTreeSet::from([
                "EIGHT",
                "GROUP",
                "ITERATIONS",
                "LEVELS",
                "OFF_TRACK",
                "PEAKS",
                "WHOLE"
            ])
        );
        for (_, number) in overrides.iter() {
            assert!(number.init.is_none(), "{}: {number:?}", shader.name);
        }
    }
}

/// A file's header, paragraph by paragraph, without its line breaks.
fn header(text: &str, comment: &str) -> Vec<String> {
    let lines: Vec<_> = text
        .lines()
        .map_while(|line| line.strip_prefix(comment))
        .map(str::trim)
        .collect();
    lines
        .split(|line| line.is_empty())
        .map(|lines| lines.join(" "))
        .collect()
}

#[test]
fn twins_have_one_definition() {
    for stem in TWINS {
        let here = header(&shader(stem), "//");
        let there = text(&folder("src/cpu").join(stem).with_extension("rs"));
        let there = header(&there, "//!");
        let [title, definition, ..] = &here[..] else {
            panic!(
                "shaders/{stem}.wgsl has a header of {} paragraphs",
                here.len()
            );
        };
        assert_eq!(Some(title), there.first(), "the title of {stem}");
        assert_eq!(Some(definition), there.get(1), "the definition of {stem}");
        let mut letters = stem.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let name: String = first.into_iter().chain(letters).collect();
        assert!(title.starts_with(&format!("{name}: ")), "{title}");
        assert!(definition.starts_with("Reads: "), "{definition}");
        assert!(definition.contains(" Writes: "), "{definition}");
    }
}

#[test]
fn what_is_done_together_has_one_definition() {
    for (stem, within) in TOGETHER {
        let here = header(&shader(within), "//");
        let there = text(&folder("src/cpu").join(stem).with_extension("rs"));
        let there = header(&there, "//!");
        assert!(
            here.windows(2).any(|pair| *pair == there[..2]),
            "{stem} in shaders/{within}.wgsl"
        );
    }
}

#[test]
fn layout_kernels_have_no_twin() {
    for stem in LAYOUT_KERNELS {
        assert!(!folder("src/cpu").join(stem).with_extension("rs").exists());
        let title = &header(&shader(stem), "//")[0];
        assert!(title.to_lowercase().contains("layout kernel"), "{title}");
    }
}
