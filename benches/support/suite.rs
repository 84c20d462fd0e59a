//! Figures of every case, measured by criterion.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};

use crate::bed::Job;
use crate::case::Case;
use crate::engine::Engine;
use crate::value::Value;

/// One figure of a case; its id is `topic/shape/type/name`.
pub(crate) struct Figure<T> {
    pub(crate) topic: &'static str,
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) job: Job<T>,
}

/// What a bench measures.
pub(crate) trait Suite {
    /// Least time that criterion adds up for a figure.
    const TIME: Duration;

    /// The figures of every case, those of one topic together.
    fn figures<T: Value>() -> Vec<Figure<T>>;
}

/// Measures the figures whose ids pass the filter of the command line.
pub(crate) fn measure<S: Suite>(cases: &[Case]) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(S::TIME / 5)
        .measurement_time(S::TIME)
        .configure_from_args();
    for &case in cases {
        if case.wide {
            measure_case::<S, f64>(&mut criterion, case);
        } else {
            measure_case::<S, f32>(&mut criterion, case);
        }
    }
    criterion.final_summary();
}

fn measure_case<S: Suite, T: Value>(criterion: &mut Criterion, case: Case) {
    // Made when the first id that passes the filter asks for it.
    let mut bed = None;
    for topic in S::figures::<T>().chunk_by(|a, b| a.topic == b.topic) {
        let name = format!("{}/{}", topic[0].topic, case.shape_and_type());
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(case.n_t as u64));
        group.sampling_mode(SamplingMode::Flat);
        for figure in topic {
            group.bench_function(&figure.name, |bencher| {
                let bed = bed.get_or_insert_with(|| case.bed::<T>());
                bencher.iter_custom(|n| (0..n).map(|_| (figure.job)(bed, figure.engine)).sum());
            });
        }
        group.finish();
    }
}
