//! What the definition says, one drawn case for each behaviour, on every engine.
//!
//! A case draws a map, its peaks (`^`), and for each alpha its mask (`#`); see [`support::drawing::Drawing`].

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use ndarray::Array3;
use peakmask::{Error, Peaks, analyze, analyze_into};

use oracle::Level::{Absolute, Coverage, OfPeak};
use support::drawing::{drawn, drawn_at};
use support::engine::Engine;
use support::float::Float;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// The smallest subnormal of each type.
const TINY: f64 = f64::from_bits(1);
const TINY_F32: f64 = f32::from_bits(1) as f64;

/// Declares tests whose body runs once on every engine.
macro_rules! on_every_engine {
    ($($(#[$attribute:meta])* fn $name:ident($engine:ident) $body:block)+) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            for $engine in Engine::all() $body
        }
    )+};
}

// Peaks and their prominences.
on_every_engine! {
    fn a_cell_above_all_eight_neighbours_is_a_peak(engine) {
        drawn([], "
            00000  .....
            01210  ..^..
            00110  .....
            40000  ^....
        ").prominences([1.0, 4.0]).on(engine);
    }

    fn a_higher_diagonal_neighbour_forbids_a_peak(engine) {
        drawn([], "
            0000  ....
            0200  ....
            0030  ..^.
            0000  ....
        ").prominences([1.0]).on(engine);
    }

    fn windows_are_clipped_at_borders_and_corners(engine) {
        drawn([], "
            5040  ^.^.
            0000  ....
            3002  ^..^
        ").prominences([5.0, 4.0, 3.0, 2.0]).on(engine);
    }

    fn cells_at_the_minimum_are_no_peaks(engine) {
        drawn([], "
            111115  .....^
            111111  ......
            111111  ......
        ").prominences([4.0]).on(engine);
    }

    fn every_cell_of_a_plateau_is_a_peak(engine) {
        drawn([], "
            00000  .....
            02210  .^^..
            00200  ..^..
            00000  .....
        ").prominences([1.0, 1.0, 1.0]).on(engine);
    }

    fn diagonal_neighbours_form_one_plateau(engine) {
        drawn([], "
            2000  ^...
            0200  .^..
            0020  ..^.
            0001  ....
        ").prominences([1.0, 1.0, 1.0]).on(engine);
    }

    fn the_base_of_a_plateau_counts_for_its_farthest_cell(engine) {
        drawn([], "
            000000000000  ............
            044444444430  .^^^^^^^^^..
            000000000000  ............
        ").prominences([1.0; 9]).on(engine);
    }

    fn the_base_of_a_ring_may_lie_inside_it(engine) {
        drawn([], "
            000000  ......
            055550  .^^^^.
            051350  .^..^.
            055550  .^^^^.
            000000  ......
        ").prominences([2.0; 10]).on(engine);
    }

    fn separate_plateaus_of_one_height_have_bases_of_their_own(engine) {
        drawn([], "
            0000000  .......
            1330332  .^^.^^.
            0000000  .......
        ").prominences([2.0, 2.0, 1.0, 1.0]).on(engine);
    }

    fn a_shoulder_makes_the_prominence_zero(engine) {
        // The third 2 touches the 3 and is no peak; the other two are, and touch it.
        drawn([], "
            000000  ......
            022230  .^^.^.
            000000  ......
        ").prominences([0.0, 0.0, 1.0]).on(engine);
    }

    fn a_plateau_all_of_whose_cells_touch_higher_ground_has_no_peak(engine) {
        drawn([], "
            00000  .....
            02320  ..^..
            00000  .....
        ").prominences([1.0]).on(engine);
    }

    fn prominence_is_a_contrast_with_the_rim_not_the_height_above_a_saddle(engine) {
        drawn([], "
            000000000  .........
            087787690  .^..^..^.
            000000000  .........
        ").prominences([1.0, 1.0, 3.0]).on(engine);
    }

    fn a_plateau_that_leaves_out_one_cell_is_one_group(engine) {
        drawn([], "
            1111  ^^^^
            1101  ^^.^
            1111  ^^^^
        ").prominences([1.0; 11]).on(engine);
    }
}

// Masks.
on_every_engine! {
    fn a_mask_is_the_region_around_the_dominant_peak(engine) {
        drawn([0.5, 0.9], "
            00000000  ........  ........  ........
            05950070  ..^...^.  .###....  ..#.....
            00600070  ......^.  ..#.....  ........
            00000000  ........  ........  ........
        ").on(engine);
    }

    fn a_cell_at_the_threshold_belongs(engine) {
        drawn([0.5], "
            34843  ..^..  .###.
        ").on(engine);
    }

    fn four_neighbours_connect_by_default(engine) {
        drawn([0.5], "
            9000  ^...  #...
            0500  ....  ....
            0057  ...^  ....
        ").on(engine);
    }

    fn eight_neighbours_connect_on_demand(engine) {
        drawn([0.5], "
            9000  ^...  #...
            0500  ....  .#..
            0057  ...^  ..##
        ").eight().on(engine);
    }

    fn the_first_of_several_maxima_in_row_major_order_is_dominant(engine) {
        drawn([0.5], "
            0009  ...^  ...#
            0000  ....  ....
            9000  ^...  ....
        ").on(engine);
    }

    fn masks_have_holes(engine) {
        drawn([0.5], "
            99999  ^^^^^  #####
            91019  ^...^  #...#
            99999  ^^^^^  #####
        ").on(engine);
    }

    fn a_mask_winds_through_a_corridor(engine) {
        drawn([0.5], "
            1111110  ^^^^^^.  ######.
            0000010  .....^.  .....#.
            0111110  .^^^^^.  .#####.
            0100000  .^.....  .#.....
            0111111  .^^^^^^  .######
        ").on(engine);
    }

    fn each_alpha_has_a_mask_in_the_order_given(engine) {
        drawn([0.9, 0.3, 0.6], "
            13963  ..^..  ..#..  .####  ..##.
        ").on(engine);
    }

    fn repeated_alphas_give_separate_masks(engine) {
        drawn([0.5, 0.9, 0.5], "
            15951  ..^..  .###.  ..#..  .###.
        ").on(engine);
    }

    fn no_alpha_gives_peaks_alone(engine) {
        drawn([], "
            15951  ..^..
        ").prominences([4.0]).on(engine);
    }

    fn alpha_zero_takes_all_cells_that_are_not_negative(engine) {
        drawn([0.0, -0.0], "
            0120a  ..^..  ####.  ####.
            aa0a3  ....^  ..#..  ..#..
        ").letter('3', 1.5).on(engine);
    }

    fn alpha_one_takes_the_dominant_plateau(engine) {
        drawn([1.0], "
            099089  .^^..^  .##...
        ").on(engine);
    }

    fn alpha_above_one_takes_the_dominant_cell_alone(engine) {
        drawn([1.5, 1e300], "
            09908  .^^.^  .#...  .#...
        ").on(engine);
    }

    fn a_negative_alpha_takes_negative_cells_too(engine) {
        drawn([-0.5], "
            ca4bd  ..^..  .###.
        ").on(engine);
    }

    fn a_nan_alpha_takes_the_dominant_cell_alone(engine) {
        drawn([NAN], "
            09908  .^^.^  .#...
        ").on(engine);
    }

    fn an_infinite_alpha_takes_the_dominant_cell_alone_or_all(engine) {
        drawn([INF, -INF], "
            09908  .^^.^  .#...  #####
        ").on(engine);
    }

    fn an_infinite_alpha_with_a_height_of_zero_takes_the_dominant_cell_alone(engine) {
        drawn([INF, -INF], "
            ba0ab  ..^..  ..#..  ..#..
        ").on(engine);
    }

    fn a_log_posterior_reaches_down_with_alpha_above_one(engine) {
        drawn([2.0, 1.0, 3.5], "
            fcbabe  ...^..  ..###.  ...#..  .####.
        ").prominences([1.0]).on(engine);
    }

    fn a_log_posterior_leaves_the_dominant_cell_alone_with_alpha_below_one(engine) {
        drawn([0.5, 0.0, -1.0, -INF], "
            fcbaae  ...^^.  ...#..  ...#..  ...#..  ...#..
        ").on(engine);
    }

    fn a_log_posterior_with_an_infinite_alpha_takes_all(engine) {
        drawn([INF], "
            fc-ae  .^.^.  #####
        ").letter('f', -8.0).prominences([5.0, 4.0]).on(engine);
    }
}

// Levels of other kinds than alphas, and whole levels.
on_every_engine! {
    fn an_absolute_level_is_the_same_in_every_bin(engine) {
        drawn_at([Absolute(4.0), Absolute(6.0)], "
            00000000  ........  ........  ........
            05950070  ..^...^.  .###....  ..#.....
            00600070  ......^.  ..#.....  ..#.....
            00000000  ........  ........  ........
        ").on(engine);
    }

    fn an_absolute_level_above_all_takes_the_dominant_cell_alone(engine) {
        drawn_at([Absolute(9.5), Absolute(INF), Absolute(NAN)], "
            09908  .^^.^  .#...  .#...  .#...
        ").on(engine);
    }

    fn an_absolute_level_of_minus_infinity_takes_all(engine) {
        drawn_at([Absolute(-INF), Absolute(-1.5)], "
            b-a2-  ^..^.  #####  ..##.
        ").on(engine);
    }

    fn an_absolute_level_of_zero_takes_zeros_of_both_signs(engine) {
        drawn_at([Absolute(0.0), Absolute(-0.0)], "
            0z1z0  ..^..  #####  #####
        ").on(engine);
    }

    fn an_absolute_level_is_rounded_to_float32_once(engine) {
        // Not rounded, it is above the cell that it has to take.
        let third = 1.0_f32 / 3.0;
        drawn_at([Absolute(f64::from(third) + 1e-9)], "
            qhp  .^.  .##
        ")
        .letter('h', 0.5)
        .letter('p', f64::from(third))
        .letter('q', f64::from(third.down()))
        .on_as::<f32>(engine);
    }

    fn a_coverage_is_the_least_region_that_holds_its_share(engine) {
        // 20 in all.
        drawn_at([Coverage(0.45), Coverage(0.46), Coverage(0.75), Coverage(1.0), Coverage(1e-9)], "
            19630  .^...  .#...  .##..  .##..  ####.  .#...
            00100  .....  .....  .....  .....  ..#..  .....
        ").on(engine);
    }

    fn equal_cells_are_in_a_coverage_together(engine) {
        // 14 in all: three quarters are reached at the second 2, and the third belongs.
        drawn_at([Coverage(0.75)], "
            02822  ..^.^  .####
        ").on(engine);
    }

    fn a_coverage_counts_what_is_not_connected(engine) {
        let case = drawn_at([Coverage(0.9)], "
            50071  ^..^.  ...#.
            00000  .....  .....
        ");
        case.letter('1', 0.5).on(engine);
        let case = drawn_at([Coverage(0.9)], "
            50071  ^..^.  #..#.
            00000  .....  .....
        ");
        case.letter('1', 0.5).whole().on(engine);
    }

    fn a_negative_cell_leaves_no_coverage(engine) {
        drawn_at([Coverage(0.5), OfPeak(0.5)], "
            1a91  ^.^.  ....  ..#.
        ").on(engine);
        // Minus zero is not negative.
        drawn_at([Coverage(0.5), Coverage(1.0)], "
            1z91  ^.^.  ..#.  ..##
        ").on(engine);
    }

    fn an_infinite_total_leaves_no_coverage(engine) {
        drawn_at([Coverage(0.5), Absolute(9.0)], "
            1+91  .^..  ....  .##.
        ").on(engine);
        drawn_at([Coverage(0.5)], "
            1MMM1  .^^^.  .....
        ").letter('M', f64::MAX).on_as::<f64>(engine);
        // Values of float32 are added in float64.
        drawn_at([Coverage(0.5)], "
            1MMM1  .^^^.  .###.
        ").letter('M', f64::from(f32::MAX)).on_as::<f32>(engine);
    }

    fn kinds_of_levels_are_mixed_in_the_order_given(engine) {
        drawn_at([Absolute(3.0), Coverage(0.5), OfPeak(0.1), Absolute(3.0)], "
            13963  ..^..  .####  ..##.  #####  .####
        ").on(engine);
    }

    fn a_whole_level_takes_what_is_not_connected(engine) {
        drawn([0.5, 0.75], "
            00000000  ........  ........  ........
            05950070  ..^...^.  .###..#.  ..#...#.
            00600070  ......^.  ..#...#.  ......#.
            00000000  ........  ........  ........
        ").whole().on(engine);
    }

    fn a_whole_level_that_nothing_reaches_is_empty(engine) {
        drawn([1.5, NAN], "
            09908  .^^.^  .....  .....
        ").whole().on(engine);
        drawn_at([Absolute(10.0)], "
            09908  .^^.^  .....
        ").whole().on(engine);
    }

    fn a_silent_bin_has_no_whole_level(engine) {
        drawn_at([Absolute(0.0)], "
            09?  ...  ...
        ").whole().on(engine);
        drawn_at([Absolute(0.0)], "
            333  ...  ...
        ").whole().on(engine);
    }
}

// Cells off the track.
on_every_engine! {
    fn what_is_off_the_track_is_in_no_mask_and_no_peak(engine) {
        drawn([0.5, -INF], "
            ??0??  .....  .....  ..#..
            0595?  ..^..  .###.  ####.
            ??6??  .....  ..#..  ..#..
        ").prominences([3.0]).off_track().on(engine);
    }

    fn a_flood_does_not_cross_what_is_off_the_track(engine) {
        drawn([0.5], "
            9?8  ^.^  #..
            9?8  ^.^  #..
            900  ^..  #..
        ").prominences([9.0, 8.0, 9.0, 8.0, 9.0]).off_track().on(engine);
    }

    fn what_is_off_the_track_does_not_hide_a_neighbour(engine) {
        for art in [
            "???  ...  ...
             ?7?  ...  ...
             ?8?  .^.  .#.",
            "?8?  .^.  .#.
             ?7?  ...  ...
             ???  ...  ...",
            "???  ...  ...
             ?7?  ...  ...
             8??  ^..  #..",
            "???  ...  ...
             ?7?  ...  ...
             ??8  ..^  ..#",
            "???  ...  ...
             ?78  ..^  ..#
             ???  ...  ...",
            "8??  ^..  #..
             ?7?  ...  ...
             ???  ...  ...",
        ] {
            drawn([0.9], art).prominences([1.0]).off_track().on(engine);
        }
    }

    fn an_island_stands_above_the_lowest_value(engine) {
        drawn([0.5], "
            2?9  ..^  ..#
            ???  ...  ...
            57?  .^.  ...
        ").prominences([7.0, 2.0]).off_track().on(engine);
        drawn([0.5], "
            2?99  ^.^^  ..##
            ????  ....  ....
            c?c?  ....  ....
        ").prominences([5.0, 12.0, 12.0]).off_track().on(engine);
    }

    fn an_island_at_the_lowest_value_is_no_peak(engine) {
        drawn([0.5], "
            0?90  ..^.  ..#.
            ??00  ....  ....
        ").prominences([9.0]).off_track().on(engine);
    }

    fn minus_infinity_is_on_the_track(engine) {
        drawn([0.5, -INF, INF], "
            -?b-  ..^.  ..#.  ..#.  ..##
        ").prominences([INF]).off_track().on(engine);
        drawn([INF], "
            -?b-  ..^.  #.##
        ").prominences([INF]).off_track().whole().on(engine);
        drawn([0.5], "
            ?--?  ....  ....
        ").off_track().on(engine);
    }

    fn a_bin_with_one_value_on_the_track_is_silent(engine) {
        drawn([0.5], "
            ??5??  .....  .....
            ??5??  .....  .....
        ").off_track().on(engine);
        drawn([0.5], "?  .  .").off_track().on(engine);
        drawn_at([Absolute(0.0)], "??  ..  ..").whole().off_track().on(engine);
    }

    fn two_cells_on_the_track_are_enough(engine) {
        drawn([0.5], "
            ?????  .....  .....
            ?1??2  ....^  ....#
        ").prominences([1.0]).off_track().on(engine);
    }

    fn a_coverage_is_a_share_of_what_is_on_the_track(engine) {
        drawn_at([Coverage(0.5), Coverage(1.0)], "
            ?19?3  ..^.^  ..#..  .##..
        ").off_track().on(engine);
    }

    fn plateaus_and_shoulders_lie_around_what_is_off_the_track(engine) {
        drawn([0.5, 1.0], "
            22222  ^^^..  #####  .....
            2?2?3  ^.^.^  #.#.#  ....#
            22200  ^^^..  ###..  .....
        ").prominences([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]).off_track().on(engine);
    }
}

// Maps of one row, one column, one cell; bins without peaks.
on_every_engine! {
    fn a_map_of_one_cell_has_no_peak(engine) {
        drawn([0.5], "5  .  .").on(engine);
        drawn([0.5], "z  .  .").on(engine);
        drawn([0.5], "+  .  .").on(engine);
        drawn([0.5], "?  .  .").on(engine);
    }

    fn a_map_of_one_row(engine) {
        drawn([0.5], "
            0102034  .^.^..^  .....##
        ").letter('3', 2.5).prominences([1.0, 2.0, 1.5]).on(engine);
    }

    fn a_map_of_one_column(engine) {
        drawn([0.5], "
            3  ^  #
            2  .  #
            1  .  .
            2  ^  .
        ").prominences([1.0, 1.0]).on(engine);
    }

    fn a_map_of_two_cells(engine) {
        drawn([0.5], "01  .^  .#").prominences([1.0]).on(engine);
    }

    fn a_constant_bin_has_no_peak_and_empty_masks(engine) {
        drawn([0.5, 0.0, -1.0, NAN], "
            333  ...  ...  ...  ...  ...
            333  ...  ...  ...  ...  ...
        ").on(engine);
    }

    fn zeros_of_both_signs_are_constant(engine) {
        drawn([0.5, 0.0], "
            0z0  ...  ...  ...
            z0z  ...  ...  ...
        ").on(engine);
    }

    fn a_bin_of_minus_infinities_alone_is_constant(engine) {
        drawn([0.5, -INF], "
            ---  ...  ...  ...
            ---  ...  ...  ...
        ").on(engine);
    }

    fn a_bin_of_plus_infinities_alone_is_constant(engine) {
        drawn([0.5, -INF], "
            ++  ..  ..  ..
            ++  ..  ..  ..
        ").on(engine);
    }

    fn a_nan_silences_its_bin(engine) {
        drawn([0.5, 0.0], "
            0000  ....  ....  ....
            0+90  ....  ....  ....
            000?  ....  ....  ....
        ").on(engine);
        drawn([0.5, 0.0], "
            ?000  ....  ....  ....
            0990  ....  ....  ....
            0000  ....  ....  ....
        ").on(engine);
        drawn([0.5], "
            ??  ..  ..
            ??  ..  ..
        ").on(engine);
    }

    fn a_nan_silences_no_other_bin(engine) {
        for silent in [0, 1, 62, 63, 64, 65, 129] {
            let z = drawn([], "
                010  ...
                293  ...
                010  ...
            ").map::<f64>();
            let mut p = Array3::from_shape_fn((3, 3, 130), |(x, y, _)| z[(x, y)]);
            p[(2, 2, silent)] = NAN;
            let found = analyze(p.view(), &engine.options().alphas([0.1]))
                .unwrap_or_else(|error| panic!("{engine}: {error}"));
            for (t, bin) in found.peaks.bins().enumerate() {
                let (peaks, area) = if t == silent { (0, 0) } else { (1, 5) };
                assert_eq!(bin.len(), peaks, "{engine}, NaN in bin {silent}, peaks of bin {t}");
                let mask = found.masks[0].index_axis(ndarray::Axis(2), t);
                let set = mask.iter().filter(|&&set| set).count();
                assert_eq!(set, area, "{engine}, NaN in bin {silent}, area in bin {t}");
            }
        }
    }
}

// Infinities, subnormals, zeros of both signs, rounding.
on_every_engine! {
    fn an_infinite_height_with_alpha_zero_has_a_nan_threshold(engine) {
        drawn([0.0, -0.0], "
            01++0  ..^^.  ..#..  ..#..
        ").prominences([INF, INF]).on(engine);
    }

    fn an_infinite_height_has_an_infinite_threshold(engine) {
        drawn([0.5, INF, -1.0, -INF], "
            01++0  ..^^.  ..##.  ..##.  #####  #####
        ").on(engine);
    }

    fn infinite_peaks_tie(engine) {
        drawn([0.5], "
            +0+  ^.^  #..
            0+0  .^.  ...
        ").prominences([INF, INF, INF]).on(engine);
    }

    fn a_base_of_minus_infinity_makes_the_prominence_infinite(engine) {
        drawn([0.5, -INF, 0.0], "
            -1-2-  .^.^.  ...#.  #####  ...#.
        ").prominences([INF, INF]).on(engine);
    }

    fn minus_infinity_is_a_minimum_like_any_other(engine) {
        drawn([0.5], "
            --b--  ..^..  ..#..
            -----  .....  .....
        ").prominences([INF]).on(engine);
    }

    fn both_infinities_meet(engine) {
        drawn([0.5, -1.0], "
            -+-  .^.  .#.  ###
        ").prominences([INF]).on(engine);
    }

    fn a_difference_beyond_the_largest_value_is_infinite(engine) {
        let case = |largest: f64| {
            drawn([0.5, 2.0, -2.0], "
                mMm1  .^.^  .#..  .#..  ####
            ").letter('M', largest).letter('m', -largest).prominences([INF, largest])
        };
        case(f64::MAX).on_as::<f64>(engine);
        case(f64::from(f32::MAX)).on_as::<f32>(engine);
    }

    fn subnormals_are_values_like_any_other(engine) {
        // Three quarters of 2 round to 2, a quarter of 2 rounds to 0: ties go to the even one.
        let case = |tiny: f64| {
            drawn([0.5, 0.75, 0.25], "
                00000  .....  .....  .....  #####
                0sts0  ..^..  .###.  ..#..  #####
                u0000  .....  .....  .....  .####
            ").letter('s', tiny).letter('t', 2.0 * tiny).letter('u', -tiny).prominences([tiny])
        };
        case(TINY).on_as::<f64>(engine);
        case(TINY_F32).on_as::<f32>(engine);
    }

    fn a_height_of_minus_zero_stays_so(engine) {
        let case = drawn([0.5, -0.5], "
            bab  ...  ...  ...
            aza  .^.  .#.  .#.
            bab  ...  ...  ...
        ").prominences([1.0]);
        case.on(engine);
        let found = analyze(case.map::<f64>().view().insert_axis(ndarray::Axis(2)), &engine.options())
            .unwrap_or_else(|error| panic!("{engine}: {error}"));
        assert_eq!(found.peaks.heights[0].to_bits(), (-0.0_f64).to_bits(), "{engine}");
    }

    fn a_prominence_of_zero_is_positive(engine) {
        drawn([], "
            az0z1a  .^^.^.
        ").prominences([0.0, 0.0, 1.0]).on(engine);
        // Here the difference itself, -0.0 - 0.0, is negative.
        drawn([], "
            az01a  .^.^.
        ").prominences([0.0, 1.0]).on(engine);
    }

    fn maxima_of_zero_tie_whatever_their_sign(engine) {
        drawn([0.5], "
            aza0a  .^.^.  .#...
        ").on(engine);
        drawn([0.5], "
            a0zaz  .^^.^  .##..
        ").on(engine);
    }

    fn a_threshold_of_zero_takes_zeros_of_both_signs(engine) {
        drawn([0.0, -0.0], "
            0z1z0  ..^..  #####  #####
        ").on(engine);
    }

    fn a_float32_threshold_is_a_float64_product_rounded_once(engine) {
        // A float32 product is too large in the first case, a float64 one that is not rounded as well; a float32
        // product is too small in the second.
        for (alpha, height) in [(0.3, 12_358_002.0_f64), (0.9, 16_361_675.0)] {
            let threshold = (alpha * height) as f32;
            drawn([alpha], "
                qhp  .^.  .##
            ")
            .letter('h', height)
            .letter('p', f64::from(threshold))
            .letter('q', f64::from(threshold.down()))
            .on_as::<f32>(engine);
        }
    }
}

// Empty inputs.
on_every_engine! {
    fn no_time_bins_are_a_valid_empty_result(engine) {
        let p = Array3::<f64>::zeros((4, 3, 0));
        let found = analyze(p.view(), &engine.options().alphas([0.5, 0.9]))
            .unwrap_or_else(|error| panic!("{engine}: {error}"));
        assert_eq!(found.masks.len(), 2, "{engine}");
        assert!(found.masks.iter().all(|mask| mask.dim() == (4, 3, 0)), "{engine}");
        assert_eq!(found.peaks, Peaks::new(), "{engine}");
        assert_eq!(found.peaks.offsets, [0], "{engine}");
    }

    fn no_time_bins_leave_no_earlier_peaks(engine) {
        let one = drawn([], "01 .^").map::<f64>().insert_axis(ndarray::Axis(2));
        let mut peaks = analyze(one.view(), &engine.options())
            .unwrap_or_else(|error| panic!("{engine}: {error}"))
            .peaks;
        assert_eq!(peaks.len(), 1, "{engine}");
        let none = Array3::<f64>::zeros((4, 3, 0));
        analyze_into(none.view(), &engine.options(), &mut [], &mut peaks)
            .unwrap_or_else(|error| panic!("{engine}: {error}"));
        assert_eq!(peaks, Peaks::new(), "{engine}");
    }

    fn a_map_without_cells_is_an_error(engine) {
        for (n_x, n_y, n_t) in [(0, 3, 2), (3, 0, 2), (0, 0, 2), (0, 3, 0), (3, 0, 0), (0, 0, 0)] {
            let p = Array3::<f32>::zeros((n_x, n_y, n_t));
            let found = analyze(p.view(), &engine.options().alphas([0.5])).map(|_| ());
            assert_eq!(found, Err(Error::EmptyMap { n_x, n_y, n_t }), "{engine}");
        }
    }
}
