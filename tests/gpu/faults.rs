//! Faults planted in every stage's shader: each must be seen, or the tests that find none prove nothing.

use ndarray::{Array3, Axis, concatenate};
use peakmask::{Error, GpuFault, GpuTuning, Options, analyze};

use crate::oracle::{Level, Rules};
use crate::support::float::Float;
use crate::{Known, gpu_or_return, on};

/// What is planted, stage by stage.
const FAULTS: [(&str, GpuFault); 20] = [
    (
        "the last maximum instead of the first",
        fault("threshold", "atomicMin(", "atomicMax("),
    ),
    (
        "in a band the last maximum instead of the first",
        fault(
            "threshold",
            "first = min(first, select(vec4<u32>(NOWHERE)",
            "first = max(first, select(vec4<u32>(0u)",
        ),
    ),
    (
        "a block of the survey is forgotten",
        fault("survey", "var block = 1u;", "var block = 2u;"),
    ),
    (
        "NaN counts for nothing",
        fault("survey", "let live = !nan &&", "let live ="),
    ),
    (
        "the product is cut off, not rounded",
        fault("survey", "if (up) {", "if (false) {"),
    ),
    (
        "above, not at",
        fault(
            "threshold",
            "!each_exceeds(level0, k)",
            "each_exceeds(k, level0)",
        ),
    ),
    (
        "a bit is set to begin with",
        fault(
            "threshold",
            "var bits0 = vec4<u32>(0u);",
            "var bits0 = vec4<u32>(1u);",
        ),
    ),
    (
        "a block with a cell above a level is passed over",
        fault(
            "threshold",
            "known.live && !some.x",
            "known.live && !some.x && !exceeds(known.high, known.block.high)",
        ),
    ),
    (
        "the flood stops after two sweeps",
        fault(
            "flood",
            "(flags & (SECOND | CHANGED)) == SECOND",
            "(flags & SECOND) == SECOND",
        ),
    ),
    (
        "the floor is a peak",
        fault(
            "threshold",
            "gone = extremes(here, t, known);",
            "extremes(here, t, known);",
        ),
    ),
    (
        "the row below a band is no neighbour",
        fault("survey", "here.row + BAND < p.n_x", "false"),
    ),
    (
        "a word's last column has no neighbour in the next one",
        fault("survey", "first + i + 1u < p.n_y", "i + 1u < n"),
    ),
    (
        "peaks with a neighbour as high have no base of their own",
        fault(
            "survey",
            "if (peak.x) { rims",
            "if (peak.x && !equal.x) { rims",
        ),
    ),
    (
        "lanes with groups are left alone",
        fault("survey", "ties |= equal;", ""),
    ),
    (
        "plateaus stop after two sweeps",
        fault(
            "bases",
            "(flags & (SECOND | CHANGED)) == SECOND",
            "(flags & SECOND) == SECOND",
        ),
    ),
    (
        "plateaus are taken to be settled",
        fault(
            "bases",
            "atomicStore(&restless[t], 1u)",
            "atomicStore(&restless[t], 0u)",
        ),
    ),
    (
        "lanes are added up from the wrong one",
        fault("collect", "rows + sum - n", "rows + sum"),
    ),
    (
        "lanes change places",
        fault("pack", "& 1u) << i;", "& 1u) << (31u - i);"),
    ),
    (
        "a neighbour is forgotten",
        fault("bases", "best = rim_with(best, x + 1u, y + 1u, t);", ""),
    ),
    (
        "peaks of the lanes before are forgotten",
        fault("collect", "rows += sums[SCANNED - 1u];", ""),
    ),
];

const fn fault(file: &'static str, from: &'static str, to: &'static str) -> GpuFault {
    GpuFault { file, from, to }
}

/// Maps of all kinds; then some whose cells lie at a level, just above it and just below.
fn posterior() -> Known<f64> {
    // More lanes than one scan takes in.
    let drawn = [5, 6, 7, 9].map(|seed| Known::<f64>::drawn(seed, [17, 40, 65]).p);
    let mut rng = fastrand::Rng::with_seed(8);
    let mut brinks = Array3::zeros((17, 40, 30));
    for mut z in brinks.axis_iter_mut(Axis(2)) {
        let height = 0.5 + rng.f64();
        let level: f64 = 0.9 * height;
        z.mapv_inplace(|_| [level.next_down(), level, level.next_up()][rng.usize(..3)]);
        z[(8, 20)] = height;
    }
    let parts: Vec<_> = drawn
        .iter()
        .chain([&brinks])
        .map(|part| part.view())
        .collect();
    let p = concatenate(Axis(2), &parts).expect("one shape of maps");
    Known::new(p, [0.5, 0.9], false)
}

/// Whether an analysis comes out otherwise than it should.
fn is_seen(known: &Known<f64>, options: &Options) -> bool {
    // What the CPU finds of bins that the device leaves to it may not fit the rest: that is an error.
    analyze(known.p.view(), &known.options(options))
        .map_or(true, |found| known.difference(&found).is_some())
}

#[test]
fn a_fault_in_any_stage_is_seen() {
    let context = gpu_or_return!();
    let known = posterior();
    known.exact(&on(context, GpuTuning::default()));
    for (what, fault) in FAULTS {
        let tuning = GpuTuning {
            fault: Some(fault),
            // However slow the device: more lanes than one scan takes in are in one batch.
            batch: Some(known.p.dim().2),
            ..Default::default()
        };
        assert!(is_seen(&known, &on(context, tuning)), "not seen: {what}");
    }
}

/// Rules that have kernels do otherwise, and what is planted where they do.
const BEYOND: [(&str, Rules, GpuFault); 9] = [
    (
        "cells off the track count as the lowest",
        OFF_TRACK,
        fault(
            "survey",
            "low = each_of(each(UNREACHED), seen, each_present(seen));",
            "",
        ),
    ),
    (
        "cells off the track silence their bin",
        OFF_TRACK,
        fault("survey", "if (is_nan64(v)) { return LOWEST; }", ""),
    ),
    (
        "cells off the track reach their level",
        OFF_TRACK,
        fault("threshold", LOWEST, UNREACHED),
    ),
    (
        "cells off the track are neighbours",
        OFF_TRACK,
        fault("survey", LOWEST, UNREACHED),
    ),
    (
        "an island has no base",
        OFF_TRACK,
        fault("collect", "!exceeds(base, LOWEST)", "false"),
    ),
    (
        "the lowest value is read with its sign turned",
        OFF_TRACK,
        fault(
            "collect",
            "let sign = u32(i32(~k.y) >> 31u);",
            "let sign = u32(i32(k.y) >> 31u);",
        ),
    ),
    (
        "a value that was given is a factor",
        OFF_TRACK,
        fault("survey", "level.z == OF_PEAK", "level.z <= ABSOLUTE"),
    ),
    (
        "a whole level is filled like others",
        WHOLE,
        fault("pack", "bits = above[", "bits = filled["),
    ),
    (
        "a silent bin has levels",
        WHOLE,
        fault("threshold", "known.live && !some.x", "!some.x"),
    ),
];

const LOWEST: &str = "if (is_nan64(v)) { return LOWEST; }";
const UNREACHED: &str = "if (is_nan64(v)) { return UNREACHED; }";

const OFF_TRACK: Rules = Rules {
    eight: false,
    whole: false,
    off_track: true,
};

const WHOLE: Rules = Rules {
    whole: true,
    ..OFF_TRACK
};

/// Maps of all kinds on a track: cells beside it are NaN in all bins, some more in each, and some cells are islands.
fn tracks() -> Array3<f64> {
    let mut p = Known::<f64>::drawn(5, [17, 40, 130]).p;
    let mut rng = fastrand::Rng::with_seed(9);
    for mut z in p.axis_iter_mut(Axis(2)) {
        for ((x, y), v) in z.indexed_iter_mut() {
            if (x % 5 == 2 && y > 3) || rng.u8(..9) == 0 || (x > 13 && y > 35 && (x, y) != (15, 38))
            {
                *v = f64::NAN;
            }
        }
    }
    p
}

#[test]
fn a_fault_in_any_rule_is_seen() {
    let context = gpu_or_return!();
    let levels = [
        Level::OfPeak(0.5),
        Level::Absolute(0.3),
        Level::Absolute(f64::NEG_INFINITY),
    ];
    let known_by = |rules| {
        let known = Known::by_rules(tracks(), levels.to_vec(), rules);
        known.exact(&on(context, GpuTuning::default()));
        known
    };
    let (off_track, whole) = (known_by(OFF_TRACK), known_by(WHOLE));
    for (what, rules, fault) in BEYOND {
        let known = if rules.whole { &whole } else { &off_track };
        let tuning = GpuTuning {
            fault: Some(fault),
            ..Default::default()
        };
        assert!(is_seen(known, &on(context, tuning)), "not seen: {what}");
    }
}

const BOTH: &[&str] = &["f32", "f64"];
const WIDE: &[&str] = &["f64"];
const NARROW: &[&str] = &["f32"];

/// What the probe has to see on its own, in kernels for values of these types.
const PROBED: [(&str, &[&str], GpuFault); 12] = [
    (
        "values are compared by their high words alone",
        WIDE,
        fault("survey", "a.y == b.y && a.x > b.x", "false"),
    ),
    (
        "a level is compared by its high word alone",
        WIDE,
        fault(
            "threshold",
            "(a.high == b.high) & (a.low > b.low)",
            "vec4<bool>(false)",
        ),
    ),
    (
        "neighbours are compared by their high words alone",
        WIDE,
        fault(
            "survey",
            "(a.high == b.high) & (a.low > b.low)",
            "vec4<bool>(false)",
        ),
    ),
    (
        "one limb of the product is forgotten",
        BOTH,
        fault(
            "survey",
            "let cross = widening(a_top.x, b_top.y);",
            "let cross = widening(a_top.x, b_top.x);",
        ),
    ),
    (
        "a carry between the product's limbs is forgotten",
        BOTH,
        fault("survey", "+ (middle >> 16u)", ""),
    ),
    (
        "the product's last word does not count in rounding",
        WIDE,
        fault("survey", "(below | low.x) != 0u", "below != 0u"),
    ),
    (
        "minus zero is less than zero",
        NARROW,
        fault(
            "survey",
            "(((v & 0x7fffffffu) ^ sign) - sign)",
            "((v & 0x7fffffffu) ^ sign)",
        ),
    ),
    (
        "subnormal numbers are zeros",
        NARROW,
        fault(
            "survey",
            "if (field == 0u) { return sign; }",
            "if (field <= 0x380u) { return sign; }",
        ),
    ),
    (
        "lanes do not wait for each other",
        BOTH,
        fault("pack", "workgroupBarrier();", ""),
    ),
    (
        "the second workgroup does nothing",
        BOTH,
        fault("threshold", "t >= p.bins", "t >= min(p.bins, GROUP)"),
    ),
    (
        "a group's second word of cells does not count",
        BOTH,
        fault(
            "bases",
            "if (word > 0u) { right |= peaks[here - p.lanes] >> 31u; }",
            "",
        ),
    ),
    (
        "no more peaks are collected than there is room for",
        BOTH,
        fault("collect", "- p.first_row;", ";"),
    ),
];

#[test]
fn the_probe_alone_sees_faults() {
    fn of_type<T: Float>() {
        let context = gpu_or_return!();
        let known = Known::<T>::drawn(3, [4, 5, 6]);
        let options = |fault| {
            let tuning = GpuTuning {
                fault,
                probed: true,
                ..Default::default()
            };
            known.options(&on(context, tuning)).alphas([0.5])
        };
        let probed = |fault| analyze(known.p.view(), &options(fault));
        probed(None).expect("without a fault it is trusted");
        let mut unseen = Vec::new();
        for (what, types, fault) in PROBED {
            if !types.contains(&T::NAME) {
                continue;
            }
            match probed(Some(fault)) {
                Err(Error::NoGpu { reason }) if reason.contains("of a known posterior differ") => {}
                Err(other) => unseen.push(format!("{what}: {other}")),
                Ok(_) => unseen.push(what.to_owned()),
            }
        }
        assert!(unseen.is_empty(), "{}: {unseen:#?}", T::NAME);
    }
    of_type::<f64>();
    of_type::<f32>();
}
