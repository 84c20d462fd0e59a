//! Where the time of the whole job goes: its phases on one thread, with the floor beside them.
//!
//! ```text
//! cargo bench --bench stages                      criterion
//! cargo bench --bench stages -- 'gm_xyt.*flood'   criterion, ids that match
//! ```
//!
//! | id ends in | what is timed |
//! |---|---|
//! | `survey` | loading tiles, their minima, maxima and first maxima |
//! | `compare` | values against thresholds and neighbours |
//! | `flood` | regions from the dominant peaks |
//! | `bases` | peaks in order, bases of plateaus |
//! | `emit` | masks and peaks written |
//! | `floor` | XOR of the input's 64-bit words, and `fill` of the same warm masks |
//!
//! A phase's time is what the report of the whole job into warm outputs says of it, so all of the job runs for each
//! figure. Checks, inputs and environment variables are those of `end_to_end`.

#[path = "support/bed.rs"]
mod bed;
#[path = "support/case.rs"]
mod case;
#[path = "support/check.rs"]
mod check;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/stack.rs"]
mod stack;
#[path = "support/suite.rs"]
mod suite;
#[path = "support/value.rs"]
mod value;

use std::time::Duration;

use bed::{Bed, Job};
use case::cases;
use peakmask::Seconds;
use suite::{Figure, Suite, measure};
use value::Value;

fn main() {
    measure::<Stages>(&cases());
}

/// The phases of the whole job.
struct Stages;

impl Suite for Stages {
    // All of the job runs for each of its phases: the clock on the wall shows several times this.
    const TIME: Duration = Duration::from_millis(200);

    fn figures<T: Value>() -> Vec<Figure<T>> {
        let figures: [(&str, Job<T>); 6] = [
            ("survey", |bed, threads| {
                phase(bed, threads, |seconds| seconds.survey)
            }),
            ("compare", |bed, threads| {
                phase(bed, threads, |seconds| seconds.compare)
            }),
            ("flood", |bed, threads| {
                phase(bed, threads, |seconds| seconds.flood)
            }),
            ("bases", |bed, threads| {
                phase(bed, threads, |seconds| seconds.bases)
            }),
            ("emit", |bed, threads| {
                phase(bed, threads, |seconds| seconds.emit)
            }),
            ("floor", Bed::floor),
        ];
        let figure = |(name, job)| Figure {
            topic: "stages",
            name: String::from(name),
            threads: 1,
            job,
        };
        figures.map(figure).into()
    }
}

fn phase<T: Value>(bed: &mut Bed<T>, threads: usize, of: fn(Seconds) -> f64) -> Duration {
    Duration::from_secs_f64(of(bed.reanalyse(threads).seconds))
}
