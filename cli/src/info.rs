//! `peakmask info`: what this machine offers, and what an input would need.

use std::fmt::Write as _;

use peakmask::{CancelToken, Dtype, Element, InstructionSet, Options};

use crate::args::{GpuArgs, InfoArgs, InputArgs, Layout};
use crate::budget::{self, Budget, limit_in_words, size};
use crate::failure::Failure;
use crate::input::Input;
use crate::npy::tuple;
use crate::picture::DEFAULT_ALPHAS;
use crate::{drivers, terminal};

pub(crate) fn info(args: InfoArgs, cancel: &CancelToken) -> Result<String, Failure> {
    let limit = budget::limit(args.memory_limit);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!(
        "peakmask          {}\nthreads           {threads}\ninstruction set   {}\nmemory limit      {}\n",
        env!("CARGO_PKG_VERSION"),
        InstructionSet::detect(),
        limit_in_words(limit),
    );
    drivers::try_first(&args.gpu, None, cancel);
    gpus(&mut text, &args.gpu)?;
    if cancel.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    let InfoArgs {
        input: Some(input),
        reading,
        alphas,
        ..
    } = args
    else {
        return Ok(text);
    };
    let input = Input::open(&InputArgs { input, reading })?;
    let alphas = if alphas.is_empty() {
        DEFAULT_ALPHAS.to_vec()
    } else {
        alphas
    };
    describe(&mut text, &input);
    if input.copy().is_none() && input.n_bins() > 0 {
        match input.dtype {
            Dtype::F64 => check_axis_order::<f64>(&input, cancel)?,
            Dtype::F32 => check_axis_order::<f32>(&input, cancel)?,
        }
    }
    let options = Options::new().alphas(alphas.iter().copied());
    let budget = Budget {
        input: &input,
        options: &options,
        bins: 0..input.n_bins(),
        limit,
        panels: 0,
        form: None,
        lists: None,
    };
    plan(&mut text, &budget)?;
    Ok(text)
}

/// What there is, and what an analysis would take.
fn gpus(text: &mut String, args: &GpuArgs) -> Result<(), Failure> {
    let adapters = peakmask::adapters(&args.choose(Options::new()))?;
    let chosen = match adapters.chosen {
        Some(position) => {
            let name = &adapters.found[position].name;
            format!("{name} (adapter {position}): {}", adapters.why)
        }
        None => format!("none: {}", adapters.why),
    };
    let _ = writeln!(text, "GPU for auto      {chosen}");
    for adapter in &adapters.found {
        let _ = write!(
            text,
            "\nadapter {:<9} {}\n  kind            {}\n  PCI bus         {}\n  backend         {}\n  driver          {}\n  limits          arrays of up to {}, buffers of up to {}\n",
            adapter.index,
            adapter.name,
            adapter.kind,
            adapter.pci.as_deref().unwrap_or("not told"),
            adapter.backend,
            adapter.driver,
            size(adapter.max_binding_bytes),
            size(adapter.max_buffer_bytes),
        );
    }
    Ok(())
}

fn check_axis_order<T: Element + bytemuck::Pod>(
    input: &Input,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    input
        .load::<T>(0..input.n_bins(), cancel)?
        .check_axis_order()
}

fn describe(text: &mut String, input: &Input) {
    let [n_x, n_y, n_t] = input.shape();
    let header = &input.array.header;
    let axes = match input.layout {
        Layout::Xyt => "(x, y, t)",
        Layout::Txy => "(t, x, y)",
        Layout::Xt => "(x, t), a linear track,",
        Layout::Tx => "(t, x), a linear track,",
    };
    let order = if header.fortran_order { "Fortran" } else { "C" };
    let access = input.copy().map_or_else(
        || "read where it lies".to_owned(),
        |copy| format!("copied first, since it is {}", copy.reason()),
    );
    let key = input
        .array
        .key
        .as_ref()
        .map_or(String::new(), |key| format!(", array '{key}'"));
    let name = terminal::clean(format_args!("{}{key}", input.array.path.display()));
    let _ = write!(
        text,
        "\ninput             {name}\nshape             {n_x} x {n_y} cells, {n_t} time bins; {} as {axes} in the file\ntype and order    {}, {order} order\nsize              {}, {access}\n",
        tuple(input.stored_shape()),
        header.descr.name(),
        size(header.data_bytes().unwrap_or(usize::MAX) as u64),
    );
}

fn plan(text: &mut String, budget: &Budget<'_>) -> Result<(), Failure> {
    let plan = budget.plan()?;
    let alphas: Vec<_> = budget
        .options
        .level_values()
        .iter()
        .map(ToString::to_string)
        .collect();
    let fits = if plan.total() <= budget.limit.bytes {
        "fits".to_owned()
    } else {
        match budget.largest_of_all() {
            0 => "does not fit, not even one time bin".to_owned(),
            n => format!("does not fit; at most {n} time bins at once do, with --bins 0:{n}"),
        }
    };
    let copy = match plan.copy {
        0 => String::new(),
        bytes => format!("\n  copy of input   {}", size(bytes)),
    };
    let _ = write!(
        text,
        "\nmemory plan       for alpha {}\n  fixed           {} (masks, offsets and scratch)\n  peaks           {} bytes for each peak; {} peaks assumed{copy}\n  total           {}, {fits}\n",
        alphas.join(", "),
        size(plan.estimate.fixed_bytes),
        plan.estimate.bytes_per_peak,
        plan.estimate.assumed_peaks,
        size(plan.total()),
    );
    Ok(())
}
