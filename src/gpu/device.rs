//! Devices: finding and opening them, and turning everything that can go wrong on one into a [`Failure`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::choice::Choice;
use super::opener;
use super::plan::Limits;
use crate::{Adapter, AdapterKind, Adapters, driver};

/// How long a submission may take before the device is given up, beyond what its size excuses.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that the slowest device takes in and works through in a second.
const SLOWEST: u64 = 32 << 20;
/// The longest that anybody waits for a device. Work in a submission is bounded, and takes milliseconds.
const MOST_PATIENCE: Duration = Duration::from_secs(10);
/// The same for software, which has no card that could hang, and shares the processor with all that runs there.
const SOFTWARE_PATIENCE: Duration = Duration::from_secs(60);

/// How much of the memory that a driver offers may be taken, in percent. Windows lends a device the host's memory when its
/// own is full, without a word, so there the driver's own figure has to do. Elsewhere drivers refuse by themselves, and
/// batches get smaller; wgpu, asked to look, would look only at the memory that the host can write to directly, 256 MiB on
/// many cards, and refuse what the driver places elsewhere.
const MEMORY_SHARE: Option<u8> = if cfg!(windows) { Some(90) } else { None };

/// Drivers crash when devices come and go side by side: one at a time in the whole process.
static COMING_AND_GOING: Mutex<()> = Mutex::new(());

pub(super) fn coming_and_going() -> MutexGuard<'static, ()> {
    COMING_AND_GOING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Why something did not work on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// What was being done.
    pub(crate) stage: &'static str,
    /// What the driver, or wgpu, said.
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    OutOfMemory,
    /// The device is gone, and with it everything on it.
    Lost,
    /// No answer in time.
    Hung,
    /// A defect of peakmask, wgpu or the driver.
    Rejected,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FailureKind::OutOfMemory => "the device has no memory left",
            FailureKind::Lost => "the device was lost",
            FailureKind::Hung => "the device did not answer in time",
            FailureKind::Rejected => "the device or its driver refused",
        };
        write!(f, "{what} ({}): {}", self.stage, self.message)
    }
}

/// An open device.
pub(super) struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) adapter: Adapter,
    /// Whether the device can tell the time.
    pub(super) timestamps: bool,
    /// Whether kernels can read what the host writes where it lies.
    pub(super) mapped: bool,
    /// Why the device can no longer be used: set by the driver's callback, or when it has hung.
    gone: Arc<Mutex<Option<(FailureKind, String)>>>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(&self.adapter).finish()
    }
}

impl Device {
    /// Opens the adapter that the choice falls on, or says why there is none.
    pub(super) fn open(choice: &Choice<'_>) -> Result<Self, String> {
        driver::verdict()?;
        if let Some(found) = FOUND.get() {
            // Where none serves, drivers are not loaded again for every analysis.
            let adapters = found.among(choice);
            adapters.chosen.ok_or(adapters.why)?;
        }
        let _alone = coming_and_going();
        let (instance, list, found) = look();
        let mut adapters = found.among(choice);
        let _ = FOUND.set(found);
        let chosen = adapters.chosen.ok_or(adapters.why)?;
        let adapter = &list[chosen];
        let info = adapters.found.swap_remove(chosen);
        let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
        let features = adapter.features() & wanted;
        let opening = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("peakmask"),
            required_features: features,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(opening)
            .map_err(|error| format!("{} could not be opened: {error}", info.name))?;
        drop(instance);
        let gone = Arc::new(Mutex::new(None));
        let flag = Arc::clone(&gone);
        device.set_device_lost_callback(move |reason, message| {
            log::debug!("GPU device lost: {reason:?} {message}");
            let message = if message.is_empty() {
                format!("{reason:?}")
            } else {
                message
            };
            let mut gone = flag.lock().unwrap_or_else(PoisonError::into_inner);
            gone.get_or_insert((FailureKind::Lost, message));
        });
        // The default handler panics. What arrives here arose outside of any scope, in a driver's thread.
        device.on_uncaptured_error(Arc::new(|error| log::error!("GPU error: {error}")));
        Ok(Self {
            device,
            queue,
            adapter: info,
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            mapped: features.contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
            gone,
        })
    }

    /// What an analysis has to keep within.
    pub(super) fn limits(&self) -> Limits {
        let limits = self.device.limits();
        let software = self.adapter.kind == AdapterKind::Software;
        Limits {
            binding: self
                .adapter
                .max_binding_bytes
                .min(self.adapter.max_buffer_bytes),
            groups: u64::from(limits.max_compute_workgroups_per_dimension),
            device: None,
            host: None,
            shared: self.adapter.kind.shares_memory(),
            mapped: self.mapped,
            software,
        }
    }

    /// Runs `f`, and turns whatever errors it causes into a failure of this stage. Scopes belong to a thread: everything
    /// that `f` does must happen on this one.
    pub(super) fn checked<R>(
        &self,
        stage: &'static str,
        f: impl FnOnce() -> R,
    ) -> Result<R, Failure> {
        self.alive(stage)?;
        let scopes = [
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::Validation,
        ]
        .map(|filter| self.device.push_error_scope(filter));
        let result = f();
        // Scopes are a stack.
        let mut errors = Vec::new();
        for scope in scopes.into_iter().rev() {
            errors.extend(pollster::block_on(scope.pop()));
        }
        let memory = |error: &wgpu::Error| matches!(error, wgpu::Error::OutOfMemory { .. });
        // A lost device raises no error of its own, but misleading ones.
        if errors.iter().any(|error| !memory(error)) {
            self.settle(stage);
        }
        self.alive(stage)?;
        let first = errors
            .iter()
            .find(|error| memory(error))
            .or_else(|| errors.first());
        match first {
            None => Ok(result),
            Some(error) => Err(Failure {
                kind: if memory(error) {
                    FailureKind::OutOfMemory
                } else {
                    FailureKind::Rejected
                },
                stage,
                message: with_sources(error),
            }),
        }
    }

    /// Fails if the device is gone.
    pub(super) fn alive(&self, stage: &'static str) -> Result<(), Failure> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        match gone.clone() {
            None => Ok(()),
            Some((kind, message)) => Err(Failure {
                kind,
                stage,
                message,
            }),
        }
    }

    /// Whether the device has been given up while it was at work.
    pub(super) fn has_hung(&self) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*gone, Some((FailureKind::Hung, _)))
    }

    /// Gives the device up, for all who use it.
    pub(super) fn give_up(&self, stage: &'static str, message: String) -> Failure {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.get_or_insert((FailureKind::Hung, message.clone()));
        drop(gone);
        opener::leave_behind();
        Failure {
            kind: FailureKind::Hung,
            stage,
            message,
        }
    }

    /// How long a submission that takes in so many bytes may take.
    pub(super) fn patience(&self, bytes: u64) -> Duration {
        match self.adapter.kind {
            AdapterKind::Software => SOFTWARE_PATIENCE,
            _ => patience(bytes),
        }
    }

    /// Waits for all that was submitted: only then may a lost device say so.
    fn settle(&self, stage: &'static str) {
        let polled = self.device.poll(wgpu::PollType::Wait {
            submission_index: None,
            timeout: Some(MOST_PATIENCE),
        });
        if matches!(polled, Err(wgpu::PollError::Timeout)) {
            self.give_up(stage, format!("no answer within {MOST_PATIENCE:?}"));
        }
    }

    /// Waits until the device has done a submission, but not for ever.
    pub(super) fn wait(
        &self,
        stage: &'static str,
        submission: wgpu::SubmissionIndex,
        patience: Duration,
    ) -> Result<(), Failure> {
        let polled = self.device.poll(wgpu::PollType::Wait {
            submission_index: Some(submission),
            timeout: Some(patience),
        });
        if matches!(polled, Err(wgpu::PollError::WrongSubmissionIndex(..))) {
            self.settle(stage);
        }
        self.alive(stage)?;
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => {
                Err(self.give_up(stage, format!("no answer within {patience:?}")))
            }
            Err(error) => Err(Failure {
                kind: FailureKind::Rejected,
                stage,
                message: error.to_string(),
            }),
        }
    }

    /// Waits for a mapping that was asked for before a submission which is done by now.
    pub(super) fn mapped(
        &self,
        stage: &'static str,
        answer: &std::sync::mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    ) -> Result<(), Failure> {
        // Another thread may have collected the answer while it polled, and be about to hand it over.
        match answer.recv_timeout(MOST_PATIENCE) {
            Ok(Ok(())) => self.alive(stage),
            Ok(Err(error)) => {
                self.settle(stage);
                self.alive(stage)?;
                Err(Failure {
                    kind: FailureKind::Rejected,
                    stage,
                    message: error.to_string(),
                })
            }
            Err(_) => {
                self.alive(stage)?;
                Err(self.give_up(stage, "a buffer was never mapped".to_owned()))
            }
        }
    }
}

/// How long a card may take for a submission that takes in so many bytes.
fn patience(bytes: u64) -> Duration {
    (LEAST_PATIENCE + Duration::from_secs(bytes / SLOWEST)).min(MOST_PATIENCE)
}

/// All adapters, and the one that the choice falls on.
pub(super) fn list(choice: &Choice<'_>) -> Adapters {
    if let Err(why) = driver::verdict() {
        return Adapters {
            found: Vec::new(),
            chosen: None,
            why,
        };
    }
    let found = FOUND.get_or_init(|| {
        let _alone = coming_and_going();
        look().2
    });
    found.among(choice)
}

/// What this process found when it first looked.
static FOUND: OnceLock<Found> = OnceLock::new();

struct Found {
    adapters: Vec<Adapter>,
    /// Why there is none, if so.
    nothing: String,
}

impl Found {
    fn among(&self, choice: &Choice<'_>) -> Adapters {
        choice.among(self.adapters.clone(), || self.nothing.clone())
    }
}

/// Loads drivers, and lists what they serve.
fn look() -> (wgpu::Instance, Vec<wgpu::Adapter>, Found) {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    // The same in every build; the environment can turn validation on.
    descriptor.flags = wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL.with_env();
    descriptor.memory_budget_thresholds.for_resource_creation = MEMORY_SHARE;
    let instance = wgpu::Instance::new(descriptor);
    let list = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let adapters: Vec<_> = list.iter().enumerate().map(describe).collect();
    let mut nothing = "none was listed".to_owned();
    if adapters.is_empty() {
        let request = instance.request_adapter(&wgpu::RequestAdapterOptions::default());
        if let Err(error) = pollster::block_on(request) {
            nothing = error.to_string();
        }
    }
    (instance, list, Found { adapters, nothing })
}

fn describe((index, adapter): (usize, &wgpu::Adapter)) -> Adapter {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let driver = [info.driver, info.driver_info];
    Adapter {
        index,
        name: info.name,
        pci: (!info.device_pci_bus_id.is_empty()).then_some(info.device_pci_bus_id),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        },
        backend: info.backend.to_string(),
        driver: driver
            .iter()
            .map(|part| part.trim())
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
    }
}

/// An error with everything that led to it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    one_line(&text)
}

/// A message without line breaks.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A refusal of this stage.
pub(super) fn rejected<E: fmt::Display>(stage: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure {
        kind: FailureKind::Rejected,
        stage,
        message: one_line(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_work_and_ends() {
        let seconds = |bytes| patience(bytes).as_secs();
        assert_eq!(seconds(0), 2);
        assert_eq!(seconds(64 << 20), 4);
        assert_eq!([256 << 20, 1 << 40, u64::MAX].map(seconds), [10; 3]);
    }
}
