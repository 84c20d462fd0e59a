//! Everything that is to be known about a GPU, in one run of less than nine minutes: how far are kernels and the whole job
//! from what the device and the way to it allow, does it compute what the CPU computes, and which sizes suit it.
//!
//! `benches/hardware.sh` builds this program and starts it:
//!
//! ```text
//! hardware --list
//! hardware --tests FOLDER --peers FOLDER --json FILE --markdown FILE
//!          [--preflight FILE] [--failed TEXT] [--date TEXT] [--revision TEXT] [--bins N] [--seconds N] [--small]
//! ```
//!
//! `--list` prints the adapters, one a line, as `preflight` of that script reads them. What the script found is in the file
//! `--preflight`, a line each; with `--failed` it found no GPU, and this program only writes that down.
//!
//! Each part has a share of the time that is left; what had to be cut, it says. Both files are written anew after every part, so
//! that they hold what there is whatever becomes of the run. It fails if anything was not equal to the bit, but only at
//! its end.

mod clock;
mod device;
mod equivalence;
mod field;
mod link;
mod parts;
mod peer;
mod table;

#[path = "../support/check.rs"]
mod check;
#[path = "../support/engine.rs"]
mod engine;
#[path = "../support/inputs.rs"]
mod inputs;
#[path = "../support/stack.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod stack;
#[path = "../support/value.rs"]
mod value;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clock::Clock;
use parts::Lab;
use serde_json::json;
use sysinfo::{CpuRefreshKind, RefreshKind, System};
use table::Section;

/// Seconds of the whole run, unless told otherwise: a device that hangs may take another minute.
const SECONDS: f64 = 460.0;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        say(&format!("hardware: {error}"));
        ExitCode::FAILURE
    })
}

fn run() -> Outcome<ExitCode> {
    let Some(arguments) = Arguments::given()? else {
        // `cargo bench` starts every bench target; this one has nothing to do without its partner.
        writeln!(
            std::io::stdout(),
            "hardware: started by benches/hardware.sh"
        )?;
        return Ok(ExitCode::SUCCESS);
    };
    if arguments.list {
        return list();
    }
    let clock = Clock::new(arguments.seconds);
    let mut lab = Lab::new(arguments.small, arguments.bins);
    let mut sections = vec![preflight(&arguments)?];
    let bars = |lab: &Lab| {
        let mut bars = Section::new("bars", "Against the bars");
        lab.bars(&mut bars);
        bars
    };
    let gpu = match &arguments.failed {
        Some(why) => Err(why.clone()),
        None => engine::gpu().map_err(ToString::to_string),
    };
    let gpu = match gpu {
        Ok(gpu) => gpu,
        Err(why) => {
            sections[0].fail(why);
            say(&sections[0].markdown());
            let head = Head::new(&arguments, "no GPU".to_owned());
            head.write(&arguments, &bars(&lab), &sections, clock)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let head = Head::new(&arguments, gpu.adapter().to_string());
    say(&format!("{} on {}", head.adapter, head.cpu));
    head.write(&arguments, &bars(&lab), &sections, clock)?;
    let parts = parts(&arguments);
    let mut shares: f64 = parts.iter().map(|part| part.share).sum();
    for part in parts {
        let mut section = Section::new(part.name, part.title);
        // What earlier parts left of their time goes to those that are still to come.
        let own = clock.part((arguments.seconds - clock.seconds()).max(0.0) * part.share / shares);
        shares -= part.share;
        if clock.over() {
            section.cut("all of it");
        } else {
            // One part's defect is not to hide what the others find.
            let run = AssertUnwindSafe(|| (part.run)(&mut lab, &mut section, own));
            if catch_unwind(run).is_err() {
                section.fail("stopped by a panic; standard error tells more");
            }
        }
        section.seconds = own.seconds();
        say(&section.markdown());
        sections.push(section);
        head.write(&arguments, &bars(&lab), &sections, clock)?;
    }
    let failed: Vec<&str> = sections
        .iter()
        .filter(|section| section.failed())
        .map(|section| section.name)
        .collect();
    if failed.is_empty() {
        say(&format!(
            "All that ran was equal; {:.0} seconds.",
            clock.seconds()
        ));
        Ok(ExitCode::SUCCESS)
    } else {
        say(&format!("FAILED: {}", failed.join(", ")));
        Ok(ExitCode::FAILURE)
    }
}

/// The adapters, one a line: chosen or not, number, kind, place on the PCI bus, driver, name.
fn list() -> Outcome<ExitCode> {
    let adapters = peakmask::adapters(&peakmask::Options::new())?;
    let mut out = std::io::stdout();
    for adapter in &adapters.found {
        let chosen = if adapters.chosen == Some(adapter.index) {
            "*"
        } else {
            "-"
        };
        let pci = adapter.pci.as_deref().unwrap_or("-");
        let words = [
            chosen,
            &adapter.index.to_string(),
            &adapter.kind.to_string(),
            pci,
            &adapter.driver,
            &adapter.name,
        ];
        writeln!(
            out,
            "{}",
            words.map(|word| word.replace('\t', " ")).join("\t")
        )?;
    }
    writeln!(std::io::stderr(), "{}", adapters.why)?;
    Ok(ExitCode::SUCCESS)
}

/// What the script found: lines of a name and a value.
fn preflight(arguments: &Arguments) -> Outcome<Section> {
    let mut section = Section::new("preflight", "What was found");
    if arguments.preflight.as_os_str().is_empty() {
        section.leave_out("a look at the machine: started without the script");
        return Ok(section);
    }
    section.columns(&["what", "found"]);
    for line in std::fs::read_to_string(&arguments.preflight)?.lines() {
        let (what, found) = line.split_once(": ").unwrap_or((line, ""));
        section.row([what.into(), found.into()]);
    }
    Ok(section)
}

/// A part of the run, and its share of the time.
struct Part<'a> {
    name: &'static str,
    title: &'static str,
    share: f64,
    run: Run<'a>,
}

/// Measures by a time, and says what it found.
type Run<'a> = Box<dyn Fn(&mut Lab, &mut Section, Clock) + 'a>;

fn parts(arguments: &Arguments) -> Vec<Part<'_>> {
    fn part<'a>(
        name: &'static str,
        title: &'static str,
        share: f64,
        run: impl Fn(&mut Lab, &mut Section, Clock) + 'a,
    ) -> Part<'a> {
        Part {
            name,
            title,
            share,
            run: Box::new(run),
        }
    }
    let small = arguments.small;
    vec![
        part(
            "bandwidths",
            "What the device and the way to it can do",
            0.04,
            parts::bandwidths,
        ),
        part(
            "pinned",
            "From pinned memory, by CUDA",
            0.02,
            move |_, section, clock| {
                peer::pinned(&arguments.peers, small, section, clock);
            },
        ),
        part("stages", "Kernels by stage", 0.08, parts::stages),
        part(
            "end_to_end",
            "End to end, from host memory into warm outputs",
            0.12,
            parts::end_to_end,
        ),
        part(
            "engines",
            "CPU, GPU, and both on one queue",
            0.08,
            parts::engines,
        ),
        part(
            "equivalence",
            "The same bytes: the test programs",
            0.24,
            move |_, section, clock| {
                let (bins, words): (_, &[&str]) = if small {
                    (60, &["random_bins", "box_f32::c_order", "a_plateau"])
                } else {
                    (100_000, &[])
                };
                equivalence::run(&arguments.tests, bins, words, section, clock);
            },
        ),
        part("sweeps", "Other sizes than the plan's", 0.14, parts::sweeps),
        part("loops", "Loop bounding", 0.05, parts::loops),
        part("slots", "Batches in flight", 0.05, parts::slots),
        part(
            "mapped",
            "Values where the host writes them",
            0.03,
            parts::mapped,
        ),
        part("types", "Element types", 0.06, parts::types),
        part("lengths", "Few time bins and many", 0.14, parts::lengths),
        part("peer", "A peer in CUDA", 0.08, move |_, section, clock| {
            peer::run(&arguments.peers, small, section, clock);
        }),
    ]
}

struct Arguments {
    list: bool,
    small: bool,
    /// Time bins of most measurements, if not the usual number.
    bins: Option<usize>,
    seconds: f64,
    tests: PathBuf,
    peers: PathBuf,
    preflight: PathBuf,
    /// Why nothing can be measured.
    failed: Option<String>,
    json: PathBuf,
    markdown: PathBuf,
    date: String,
    revision: String,
}

impl Arguments {
    /// Those of the command line; none if it names no file to write.
    fn given() -> Outcome<Option<Self>> {
        let mut arguments = Self {
            list: false,
            small: false,
            bins: None,
            seconds: SECONDS,
            tests: PathBuf::new(),
            peers: PathBuf::new(),
            preflight: PathBuf::new(),
            failed: None,
            json: PathBuf::new(),
            markdown: PathBuf::new(),
            date: "not stated".to_owned(),
            revision: "not stated".to_owned(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--list" => arguments.list = true,
                "--small" => arguments.small = true,
                "--bins" => arguments.bins = Some(value()?.parse()?),
                "--seconds" => arguments.seconds = value()?.parse()?,
                "--tests" => arguments.tests = value()?.into(),
                "--peers" => arguments.peers = value()?.into(),
                "--preflight" => arguments.preflight = value()?.into(),
                "--failed" => arguments.failed = Some(value()?),
                "--json" => arguments.json = value()?.into(),
                "--markdown" => arguments.markdown = value()?.into(),
                "--date" => arguments.date = value()?,
                "--revision" => arguments.revision = value()?,
                // What cargo says to every bench target.
                "--bench" | "--test" => {}
                // Filters and criterion's flags are meant for others.
                _ => return Ok(None),
            }
        }
        let named =
            !arguments.json.as_os_str().is_empty() && !arguments.markdown.as_os_str().is_empty();
        Ok((named || arguments.list).then_some(arguments))
    }
}

/// What was measured where.
struct Head {
    adapter: String,
    cpu: String,
    cores: usize,
    date: String,
    revision: String,
    small: bool,
}

impl Head {
    fn new(arguments: &Arguments, adapter: String) -> Self {
        let asked = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
        let system = System::new_with_specifics(asked);
        let cpu = system
            .cpus()
            .first()
            .map(|cpu| cpu.brand().trim().to_owned());
        Self {
            adapter,
            cpu: cpu
                .filter(|cpu| !cpu.is_empty())
                .unwrap_or_else(|| "an unknown CPU".to_owned()),
            cores: engine::cores(),
            date: arguments.date.clone(),
            revision: arguments.revision.clone(),
            small: arguments.small,
        }
    }

    fn write(
        &self,
        arguments: &Arguments,
        bars: &Section,
        sections: &[Section],
        clock: Clock,
    ) -> Outcome<()> {
        let version = env!("CARGO_PKG_VERSION");
        let mut markdown = format!(
            "# peakmask {version} on {}\n\n{} ({} cores), {}, revision {}{}\n\n",
            self.adapter,
            self.cpu,
            self.cores,
            self.date,
            self.revision,
            if self.small { ", small sizes" } else { "" },
        );
        let all = std::iter::once(bars).chain(sections);
        markdown += &all
            .clone()
            .map(Section::markdown)
            .collect::<Vec<_>>()
            .join("\n");
        let json = json!({
            "peakmask": version,
            "revision": self.revision,
            "date": self.date,
            "adapter": self.adapter,
            "cpu": self.cpu,
            "cores": self.cores,
            "small": self.small,
            "seconds": clock.seconds(),
            "parts": all.map(Section::json).collect::<Vec<_>>(),
        });
        std::fs::write(&arguments.markdown, markdown)?;
        std::fs::write(&arguments.json, serde_json::to_string_pretty(&json)?)?;
        Ok(())
    }
}

/// Progress; nobody reads it where standard error is closed.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
