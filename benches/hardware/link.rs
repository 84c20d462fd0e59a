//! The link between the host and a card: how wide and how fast it is, as the operating system and NVIDIA's own tool have it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What is asked of `nvidia-smi`: generation and width of the link now, clocks now.
const QUERY: &str = "pcie.link.gen.gpucurrent,pcie.link.gen.current,pcie.link.width.current,clocks.sm,clocks.mem,power.draw";

/// A link, at the speed that it has while it is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Link {
    /// Of PCI Express.
    pub(crate) generation: u32,
    /// Lanes.
    pub(crate) width: u32,
}

impl Link {
    /// Bytes a second that it can carry in one direction, before what packets take of it.
    pub(crate) fn bytes_a_second(self) -> f64 {
        // Ten bits for a byte in the first two generations, 130 for 16 bytes later.
        let of_a_lane = match self.generation {
            0 | 1 => 0.25e9,
            2 => 0.5e9,
            generation => f64::from(1 << (generation - 3).min(8)) * 1e9 * 128.0 / 130.0,
        };
        of_a_lane * f64::from(self.width)
    }

    /// What the operating system says of the card at this place on the bus.
    pub(crate) fn of_system(pci: &str) -> Option<Self> {
        let folder = Path::new("/sys/bus/pci/devices").join(pci.to_lowercase());
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        let width = read("current_link_width")?.trim().parse().ok()?;
        // "16.0 GT/s PCIe"
        let speed = read("current_link_speed")?;
        let transfers: f64 = speed.split_whitespace().next()?.parse().ok()?;
        let generations = [2.5, 5.0, 8.0, 16.0, 32.0, 64.0];
        let generation = generations
            .iter()
            .position(|&speed| speed >= transfers - 0.1)?;
        (width > 0).then_some(Self {
            generation: generation as u32 + 1,
            width,
        })
    }
}

/// The tool at work.
pub(crate) struct Asked(Child);

impl Asked {
    /// Asks of the card at this place on the bus; none where there is no such tool.
    pub(crate) fn of(pci: &str) -> Option<Self> {
        Command::new("nvidia-smi")
            .args(["--format=csv,noheader,nounits", "-i", pci])
            .arg(format!("--query-gpu={QUERY}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()
            .map(Self)
    }

    /// Whether it has answered.
    pub(crate) fn done(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// What it says: the link, and clocks in words. Who has not answered by now is not waited for.
    pub(crate) fn answer(mut self) -> Option<(Option<Link>, String)> {
        if !self.done() {
            let _ = self.0.kill();
        }
        let output = self.0.wait_with_output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<&str> = text.lines().next()?.split(',').map(str::trim).collect();
        let [of_card, of_link, width, core, memory, power] = words[..] else {
            return None;
        };
        let generation = of_card.parse().or_else(|_| of_link.parse()).ok();
        let link = generation.zip(width.parse().ok());
        Some((
            link.map(|(generation, width)| Link { generation, width }),
            format!("{core} MHz, memory {memory} MHz, {power} W"),
        ))
    }
}
