//! What the device and the way to it can do, measured without anything of peakmask: the floors of everything else.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use peakmask::Adapter;
use rayon::prelude::*;

use crate::clock::Clock;
use crate::link::{Asked, Link};

/// Buffers between host and device, as many as the engine has batches in flight.
const SLOTS: usize = 3;
/// Bytes that a thread copies in one piece.
const PIECE: usize = 1 << 20;
/// Measurements of each figure; the best one counts.
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes a second. A copy of n bytes inside the device reads n and writes n, and counts 2 n.
#[derive(Debug, Clone)]
pub(crate) struct Bandwidths {
    /// Inside the device, by the driver's copy command.
    pub(crate) by_command: f64,
    /// Inside the device, by a kernel.
    pub(crate) by_kernel: f64,
    /// From the caller's memory into mapped memory, on all cores.
    pub(crate) staging: f64,
    /// From mapped memory into the device's.
    pub(crate) transfer: f64,
    /// Both at once: from the caller's memory into the device's, by a ring of mapped buffers.
    pub(crate) upload: f64,
    /// From the device's memory into mapped memory.
    pub(crate) download: f64,
    /// Bytes of each copy.
    pub(crate) bytes: u64,
    /// The link between them, while it is used.
    pub(crate) link: Option<Link>,
    /// Clocks and power meanwhile, in words.
    pub(crate) clocks: Option<String>,
}

impl Bandwidths {
    /// Inside the device, whichever way is faster.
    pub(crate) fn copy(&self) -> f64 {
        self.by_command.max(self.by_kernel)
    }

    /// Whether mapped memory is the card's own: what is copied from it has been through the link already.
    pub(crate) fn staging_is_inside(&self) -> bool {
        let link = self.link.map(Link::bytes_a_second);
        link.is_some_and(|link| self.transfer > link)
    }

    /// From the caller's memory into the device's, one way after the other.
    pub(crate) fn way_in(&self) -> f64 {
        match self.staging_is_inside() {
            true => self.staging,
            false => self.transfer,
        }
    }
}

/// Measures on the adapter of this description, with copies of about so many bytes.
pub(crate) fn measure(
    wanted: &Adapter,
    bytes: u64,
    threads: usize,
    clock: Clock,
) -> Result<Bandwidths, String> {
    let bench = Bench::open(wanted, bytes)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| error.to_string())?;
    let (command, kernel) = (bench.copy_command(), bench.copy_kernel());
    let n = bench.bytes as f64;
    let (link, clocks) = match &wanted.pci {
        Some(pci) => bench.link(pci, &pool),
        None => (None, None),
    };
    Ok(Bandwidths {
        link,
        clocks,
        by_command: best(clock, || bench.repeated(2.0 * n, &command)),
        by_kernel: best(clock, || bench.repeated(2.0 * n, &kernel)),
        staging: best(clock, || bench.staging(&pool)),
        transfer: best(clock, || bench.transfer()),
        upload: best(clock, || bench.upload(&pool)),
        download: best(clock, || bench.download()),
        bytes: bench.bytes,
    })
}

/// The highest figure, of one at least.
fn best(clock: Clock, figure: impl Fn() -> f64) -> f64 {
    let mut best = figure();
    for _ in 1..ROUNDS {
        if clock.over() {
            break;
        }
        best = best.max(figure());
    }
    best
}

/// An open device with buffers to copy between.
struct Bench {
    device: wgpu::Device,
    queue: wgpu::Queue,
    bytes: u64,
    values: wgpu::Buffer,
    copies: wgpu::Buffer,
    /// Mapped between measurements.
    staging: Vec<wgpu::Buffer>,
    readback: wgpu::Buffer,
    /// What is uploaded: more than caches hold, random.
    source: Vec<u64>,
}

/// Work that a submission holds any number of times.
type Recorder<'b> = Box<dyn Fn(&mut wgpu::CommandEncoder) + 'b>;

impl Bench {
    fn open(wanted: &Adapter, bytes: u64) -> Result<Self, String> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        let adapter = adapters
            .into_iter()
            .nth(wanted.index)
            .filter(|adapter| adapter.get_info().name == wanted.name)
            .ok_or_else(|| format!("{wanted} is not there any more"))?;
        let limits = adapter.limits();
        let opening = adapter.request_device(&wgpu::DeviceDescriptor {
            required_limits: limits.clone(),
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(opening).map_err(|error| error.to_string())?;
        let most = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        let bytes = bytes.min(most) / (PIECE as u64) * PIECE as u64;
        let buffer = |usage, mapped| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes,
                usage,
                mapped_at_creation: mapped,
            })
        };
        use wgpu::BufferUsages as Usage;
        let inside = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let mut random = fastrand::Rng::with_seed(7);
        let source = (0..bytes / 8).map(|_| random.u64(..)).collect();
        Ok(Self {
            values: buffer(inside, false),
            copies: buffer(inside, false),
            staging: (0..SLOTS)
                .map(|_| buffer(Usage::MAP_WRITE | Usage::COPY_SRC, true))
                .collect(),
            readback: buffer(Usage::MAP_READ | Usage::COPY_DST, false),
            bytes,
            source,
            queue,
            device,
        })
    }

    fn copy_command(&self) -> Recorder<'_> {
        Box::new(|encoder| {
            encoder.copy_buffer_to_buffer(&self.values, 0, &self.copies, 0, self.bytes);
        })
    }

    fn copy_kernel(&self) -> Recorder<'_> {
        let module = self
            .device
            .create_shader_module(wgpu::include_wgsl!("copy.wgsl"));
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &module,
                entry_point: Some("copy"),
                compilation_options: Default::default(),
                cache: None,
            });
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[bound(0, &self.values), bound(1, &self.copies)],
        });
        let groups = (self.bytes / 16).div_ceil(256) as u32;
        let across = groups.min(1 << 15);
        Box::new(move |encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(across, groups.div_ceil(across), 1);
        })
    }

    /// Bytes a second of a submission that holds some work so often that its own cost does not count.
    fn repeated(&self, bytes: f64, work: &Recorder<'_>) -> f64 {
        const LEAST: Duration = Duration::from_millis(20);
        let mut times = 1;
        loop {
            let mut encoder = self.encoder();
            for _ in 0..times {
                work(&mut encoder);
            }
            let commands = encoder.finish();
            let start = Instant::now();
            self.wait(self.queue.submit([commands]));
            let took = start.elapsed();
            if took >= LEAST {
                return bytes * f64::from(times) / took.as_secs_f64();
            }
            times *= 2;
        }
    }

    fn staging(&self, pool: &rayon::ThreadPool) -> f64 {
        let start = Instant::now();
        self.fill(&self.staging[0], pool);
        self.bytes as f64 / start.elapsed().as_secs_f64()
    }

    fn transfer(&self) -> f64 {
        let staging = &self.staging[0];
        staging.unmap();
        let copy: Recorder<'_> = Box::new(|encoder| {
            encoder.copy_buffer_to_buffer(staging, 0, &self.values, 0, self.bytes);
        });
        let figure = self.repeated(self.bytes as f64, &copy);
        let encoder = self.encoder();
        let answer = asked(&encoder, staging, wgpu::MapMode::Write);
        self.wait(self.queue.submit([encoder.finish()]));
        mapped(&answer);
        figure
    }

    /// While the device takes one buffer, the host fills the next.
    fn upload(&self, pool: &rayon::ThreadPool) -> f64 {
        let times = 3 * SLOTS;
        let mut under_way: Vec<Option<(wgpu::SubmissionIndex, Answer)>> =
            self.staging.iter().map(|_| None).collect();
        let start = Instant::now();
        for turn in 0..times {
            let (staging, under_way) = (&self.staging[turn % SLOTS], &mut under_way[turn % SLOTS]);
            self.finish(under_way.take());
            self.fill(staging, pool);
            staging.unmap();
            let mut encoder = self.encoder();
            encoder.copy_buffer_to_buffer(staging, 0, &self.values, 0, self.bytes);
            let answer = asked(&encoder, staging, wgpu::MapMode::Write);
            *under_way = Some((self.queue.submit([encoder.finish()]), answer));
        }
        for turn in 0..SLOTS {
            self.finish(under_way[(times + turn) % SLOTS].take());
        }
        times as f64 * self.bytes as f64 / start.elapsed().as_secs_f64()
    }

    /// What is said of the link while it is used, and of the clocks: an idle card lowers both.
    fn link(&self, pci: &str, pool: &rayon::ThreadPool) -> (Option<Link>, Option<String>) {
        let mut asked = Asked::of(pci);
        let start = Instant::now();
        loop {
            self.upload(pool);
            let done = asked.as_mut().is_none_or(Asked::done);
            if done || start.elapsed() > Duration::from_secs(5) {
                break;
            }
        }
        // At once, before the card falls asleep again.
        let of_system = Link::of_system(pci);
        match asked.and_then(Asked::answer) {
            Some((link, clocks)) => (link.or(of_system), Some(clocks)),
            None => (of_system, None),
        }
    }

    fn download(&self) -> f64 {
        let copy: Recorder<'_> = Box::new(|encoder| {
            encoder.copy_buffer_to_buffer(&self.values, 0, &self.readback, 0, self.bytes);
        });
        self.repeated(self.bytes as f64, &copy)
    }

    /// Copies the source into a mapped buffer.
    fn fill(&self, staging: &wgpu::Buffer, pool: &rayon::ThreadPool) {
        let source: &[u8] = bytemuck::cast_slice(&self.source);
        let pieces: Vec<_> = source
            .chunks(PIECE)
            .enumerate()
            .map(|(i, piece)| {
                let at = (i * PIECE) as u64;
                let view = staging.get_mapped_range_mut(at..at + piece.len() as u64);
                (piece, view.expect("the buffer is mapped"))
            })
            .collect();
        pool.install(|| {
            pieces.into_par_iter().for_each(|(piece, mut view)| {
                view.slice(..).copy_from_slice(piece);
            });
        });
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    fn wait(&self, submission: wgpu::SubmissionIndex) {
        self.device
            .poll(wgpu::PollType::Wait {
                submission_index: Some(submission),
                timeout: Some(PATIENCE),
            })
            .expect("the device answers");
    }

    fn finish(&self, under_way: Option<(wgpu::SubmissionIndex, Answer)>) {
        if let Some((submission, answer)) = under_way {
            self.wait(submission);
            mapped(&answer);
        }
    }
}

fn bound(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry {
        binding,
        resource: buffer.as_entire_binding(),
    }
}

type Answer = Receiver<Result<(), wgpu::BufferAsyncError>>;

/// Asks for a mapping after the submission, and where its answer will come.
fn asked(encoder: &wgpu::CommandEncoder, buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> Answer {
    let (sender, receiver) = channel();
    encoder.map_buffer_on_submit(buffer, mode, .., move |answer| {
        // Nobody may be waiting any more.
        let _ = sender.send(answer);
    });
    receiver
}

fn mapped(answer: &Answer) {
    answer
        .recv_timeout(PATIENCE)
        .expect("the driver answers")
        .expect("the buffer is mapped");
}
