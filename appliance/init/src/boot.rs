//! What happens once, in order, before the services start. Nothing here stops the boot: a step that
//! fails is said, and the worst of them lead to the rescue page.
//!
//! | step | why here |
//! |---|---|
//! | kernel file systems, modules | everything else needs them |
//! | watchdog | from now on a hang ends in a reset |
//! | LED | the owner sees life within a second |
//! | slot area, files of p1 | they decide about DATA, claim and trial |
//! | DATA | the only long work: fed and shown while it moves |
//! | clock floor | certificates and log need a plausible time |

use std::path::{Path, PathBuf};
use std::time::Duration;

use led::Status;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, reboot, sethostname};
use update::control::{LastEnd, NetSettings, Network, VERSION, Welcome};
use update::provision::Provisioning;
use update::slots::BootVerdict;

use crate::board::Sensors;
use crate::claim::{self, Offer};
use crate::clock::{self, boot_ms};
use crate::cmdline::{self, Cmdline, TestWord};
use crate::disk::BootDisk;
use crate::evidence::{self, Diary, Survived};
use crate::facts::{self, Release};
use crate::ledloop::LedLoop;
use crate::limits::{CMDLINE_BYTES_MAX, LOCKED_BYTES_MAX, OPEN_FILES_MAX, RESET_LOOK_MS};
use crate::logs::Logs;
use crate::mounts::{self, BootFiles};
use crate::net::settings;
use crate::rawdisk::RawDisk;
use crate::reset::{self, Hold, Pin, Progress};
use crate::settings::{Effective, Settings};
use crate::slotarea::SlotStore;
use crate::watchdog::Watchdog;
use crate::{cgroup, data, modules, smallfile, sysctl};

/// Host name without a provisioning file that says otherwise.
pub(crate) const HOST_NAME: &str = "linnet";

/// Init's own folder on DATA.
const INIT_FOLDER: &str = "/data/init";

/// Boot partition with `autoboot.txt` and the provisioning file.
const AUTOBOOT_PARTITION: u32 = 1;

/// What the boot leaves to the main loop.
pub(crate) struct Booted {
    pub(crate) cmdline: Cmdline,
    pub(crate) led: LedLoop,
    pub(crate) watchdog: Watchdog,
    pub(crate) disk: Option<BootDisk>,
    pub(crate) slots: Option<SlotStore>,
    pub(crate) verdict: Option<BootVerdict>,
    pub(crate) claim: Offer,
    pub(crate) welcome: Welcome,
    pub(crate) clock_set: bool,
    pub(crate) settings: Settings,
    pub(crate) provisioning: Option<Provisioning>,
    /// When the release was built, in seconds since 1970; 0 if unknown.
    pub(crate) build_s: u64,
    pub(crate) diary: Option<Diary>,
    pub(crate) last_end: Option<LastEnd>,
    pub(crate) sensors: Sensors,
    /// Sentences of this boot for the owner.
    pub(crate) notes: Vec<String>,
}

impl Booted {
    /// What holds: the owner's word on the box before the provisioning file's.
    pub(crate) fn effective(&self) -> Effective {
        self.settings.over(self.provisioning.as_ref())
    }

    /// Writes what the `net` child shall do to where its next start finds it.
    pub(crate) fn hand_on_net_settings(&self, logs: &Logs) {
        let (effective, file) = (self.effective(), self.provisioning.as_ref());
        let settings = NetSettings {
            host_name: self.welcome.host_name.clone(),
            country: effective.country,
            wifi: effective.wifi,
            fixed_address: file.and_then(|file| file.fixed_address.clone()),
            time_servers: file.map(|file| file.time_servers.clone()).unwrap_or_default(),
            build_s: self.build_s,
        };
        if let Err(error) = settings::store(Path::new(settings::PATH), &settings) {
            logs.say(&format!("The network settings could not be handed on: {error}."));
        }
    }
}

/// Runs the steps.
pub(crate) fn boot(logs: &Logs) -> Booted {
    let cmdline = prepare_kernel(logs);
    let survived = evidence::survived();
    let watchdog = if cmdline.watchdog_off { Watchdog::default() } else { Watchdog::open() };
    if !watchdog.is_open() {
        logs.say("No hardware watchdog is in use; a hang will need the plug.");
    }
    let led = LedLoop::start(cmdline.led_pin, logs);
    let mut steps = Steps { logs, led, watchdog, survived, notes: Vec::new() };
    let disk = steps.find_disk(&cmdline);
    let mut slots = disk.as_ref().and_then(|disk| steps.load_slots(disk, &cmdline));
    let files = disk.as_ref().map(|disk| steps.read_files(disk)).unwrap_or_default();
    let verdict = steps.settle(&files, disk.as_ref(), slots.as_mut());
    let read = claim::read(files.provisioning.as_deref());
    read.complaints.iter().for_each(|complaint| logs.say(complaint));
    steps.look_for_reset(&cmdline, read.provisioning.as_ref(), slots.as_mut());
    let prepared = steps.prepare_data(disk.as_ref(), slots.as_mut());
    let (data, rescue) = (prepared.as_ref().ok(), prepared.as_ref().err().cloned());
    let (diary, last_end) = data.map(|_| steps.open_diary()).unwrap_or_default();
    let settings = steps.load_settings();
    let release = Release::read();
    if let Some(key) = &release.update_key {
        let words = key.fingerprint();
        logs.say(&format!("Updates are those that this key signed: {words}."));
    }
    let clock_set = steps.set_clock(&release);
    let effective = settings.over(read.provisioning.as_ref());
    let sensors = Sensors::of_this_board(
        disk.as_ref().map(BootDisk::device).as_deref(),
        data.map(PathBuf::as_path),
    );
    let root = disk.as_ref().map(|disk| disk.root_partition);
    let claim = steps.offer(read.provisioning.as_ref(), slots.as_ref());
    let welcome = Welcome {
        version: VERSION,
        claim: claim.offer.clone(),
        host_name: steps.name_box(effective.host_name),
        boot_nonce: cmdline.health_nonce.clone(),
        rescue,
        facts: facts::gather(&release, root),
        network: Network::default(),
        complaints: read.complaints,
    };
    cgroup::make(welcome.facts.memory_bytes).iter().for_each(|complaint| logs.say(complaint));
    let Steps { led, watchdog, notes, .. } = steps;
    Booted {
        cmdline,
        led,
        watchdog,
        disk,
        slots,
        verdict,
        claim,
        welcome,
        clock_set,
        settings,
        provisioning: read.provisioning,
        build_s: release.build_s,
        diary,
        last_end,
        sensors,
        notes,
    }
}

/// Everything before the first device of ours.
fn prepare_kernel(logs: &Logs) -> Cmdline {
    let mut complaints = mounts::mount_early();
    logs.open_pstore();
    logs.say("Linnet starts.");
    let path = Path::new("/proc/cmdline");
    let text = smallfile::read_bytes(path, CMDLINE_BYTES_MAX as u64).unwrap_or_default();
    let (cmdline, wrong) = cmdline::parse(&String::from_utf8_lossy(&text));
    complaints.extend(wrong);
    complaints.extend(modules::load_listed());
    complaints.extend(sysctl::apply());
    complaints.extend(set_limits());
    if let Err(error) = mounts::make_run_folders() {
        complaints.push(format!("The folders below /run could not be made: {error}."));
    }
    // Ctrl-Alt-Del becomes a signal, so that it, too, ends in an orderly way.
    if let Err(error) = reboot(RebootCommand::CadOff) {
        complaints.push(format!("Ctrl-Alt-Del stays a hard reset: {error}."));
    }
    complaints.iter().for_each(|complaint| logs.say(complaint));
    cmdline
}

/// Limits that all services inherit.
fn set_limits() -> Vec<String> {
    let rows = [
        (Resource::Nofile, OPEN_FILES_MAX, "open files"),
        (Resource::Memlock, LOCKED_BYTES_MAX, "locked memory"),
        (Resource::Core, 0, "core dumps"),
    ];
    let set = |resource, limit| {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
    };
    let failed = |(resource, limit, name)| {
        set(resource, limit).err().map(|error| format!("The limit of {name} was not set: {error}."))
    };
    rows.into_iter().filter_map(failed).collect()
}

struct Steps<'a> {
    logs: &'a Logs,
    led: LedLoop,
    watchdog: Watchdog,
    survived: Survived,
    notes: Vec<String>,
}

impl Steps<'_> {
    fn find_disk(&mut self, cmdline: &Cmdline) -> Option<BootDisk> {
        match BootDisk::find(cmdline.root.as_deref()) {
            Ok(disk) => Some(disk),
            Err(error) => {
                self.logs.say(&format!("The boot disk was not found: {error}."));
                None
            }
        }
    }

    fn load_slots(&mut self, disk: &BootDisk, cmdline: &Cmdline) -> Option<SlotStore> {
        let Some(offset) = cmdline.slot_area else {
            self.logs
                .say("The kernel command line lacks linnet.slotarea; cmdline.txt is not ours.");
            return None;
        };
        match RawDisk::open(&disk.device()).and_then(|raw| SlotStore::load(raw, offset)) {
            Ok(slots) => {
                if slots.is_damaged() {
                    self.logs
                        .say("The slot area is damaged; it is written anew when DATA is sound.");
                }
                Some(slots)
            }
            Err(error) => {
                self.logs.say(&format!("The slot area cannot be read: {error}."));
                None
            }
        }
    }

    fn read_files(&mut self, disk: &BootDisk) -> BootFiles {
        let watchdog = &mut self.watchdog;
        let partition = disk.wait_for(AUTOBOOT_PARTITION, || watchdog.feed(boot_ms()));
        let result = partition.map(|partition| mounts::read_boot_files(&partition.device));
        match result {
            Some(Ok(files)) => files,
            Some(Err(error)) => {
                self.logs.say(&format!("The first partition cannot be read: {error}."));
                BootFiles::default()
            }
            None => {
                self.logs.say("The card has no first partition; flash it anew.");
                BootFiles::default()
            }
        }
    }

    /// Finds this boot's row in the slot table and stores what follows from it.
    fn settle(
        &mut self,
        files: &BootFiles,
        disk: Option<&BootDisk>,
        slots: Option<&mut SlotStore>,
    ) -> Option<BootVerdict> {
        let slots = slots?;
        let autoboot = files.autoboot.as_deref();
        let (facts, verdict) = facts::verdict(autoboot, disk?.root_partition, slots.area())?;
        if verdict != BootVerdict::Normal {
            self.logs.say(verdict.sentence());
        }
        let reason = match &self.survived.panic {
            Some(words) => format!("the trial ended without a commit: {words}"),
            None => "the trial ended without a commit".to_owned(),
        };
        if let Some((slot, state)) = verdict.record(&facts, &reason) {
            let mut area = slots.area().clone();
            area.set_slot(slot, state);
            if let Err(error) = slots.store(area) {
                self.logs.say(&format!("The slot record was not stored: {error}."));
            }
        }
        Some(verdict)
    }

    /// Makes DATA ready and mounts it; an error is the reason for the rescue page.
    fn prepare_data(
        &mut self,
        disk: Option<&BootDisk>,
        slots: Option<&mut SlotStore>,
    ) -> Result<PathBuf, String> {
        let result = self.mount_data(disk, slots);
        self.led.show(Status::Booting);
        if let Err(reason) = &result {
            self.logs.say(&format!("The rescue page is served: {reason}"));
            if let Err(error) = mounts::mount_rescue() {
                self.logs.say(&format!("The rescue folder could not be made: {error}."));
            }
        }
        result
    }

    fn mount_data(
        &mut self,
        disk: Option<&BootDisk>,
        slots: Option<&mut SlotStore>,
    ) -> Result<PathBuf, String> {
        let disk = disk.ok_or("The boot disk was not found; the console says why.")?;
        let (led, watchdog) = (&mut self.led, &mut self.watchdog);
        let mut moving = || {
            led.show(Status::LongWork);
            watchdog.feed(boot_ms());
        };
        let ready = data::prepare(disk, slots, self.logs, &mut moving)?;
        self.notes.extend(ready.note.map(str::to_owned));
        mounts::mount_data(&ready.device).map_err(|error| {
            format!("The data partition cannot be mounted: {error}. Take a copy of the card first.")
        })?;
        Ok(ready.device)
    }

    /// A reset that was ordered outside of the running box, by pin or file.
    fn look_for_reset(
        &mut self,
        cmdline: &Cmdline,
        file: Option<&Provisioning>,
        slots: Option<&mut SlotStore>,
    ) {
        let Some(slots) = slots else { return };
        let ordered = reset::ordered_by_file(file.and_then(|file| file.factory_reset), |id| {
            slots.area().is_spent(id)
        });
        if let Some(id) = ordered {
            // This id is spent instead of the claim link's: a card that is provisioned anew for the
            // reset has a new link, too.
            return self.say_reset(slots.order_reset(Some(id)), "the provisioning file");
        }
        let why = if cmdline.test == Some(TestWord::FactoryReset) {
            "the kernel command line"
        } else if self.pin_is_held() {
            "the reset pin"
        } else {
            return;
        };
        self.say_reset(slots.order_reset(file.map(|file| file.id)), why);
    }

    fn say_reset(&self, ordered: Result<(), String>, why: &str) {
        match ordered {
            Ok(()) => self.logs.say(&format!("A factory reset was ordered by {why}.")),
            Err(why) => self.logs.say(&why),
        }
    }

    /// Costs nothing unless the pin is held.
    fn pin_is_held(&mut self) -> bool {
        let Some(pin) = Pin::open().filter(Pin::is_low) else { return false };
        self.logs.say("The reset pin is held; after 10 s everything on the card is erased.");
        self.led.show(Status::LongWork);
        let mut hold = Hold::new(boot_ms());
        loop {
            let now = boot_ms();
            match hold.step(now, pin.is_low()) {
                Progress::Held => {}
                end => {
                    self.led.show(Status::Booting);
                    return end == Progress::Complete;
                }
            }
            self.watchdog.feed(now);
            std::thread::sleep(Duration::from_millis(RESET_LOOK_MS));
        }
    }

    /// Evidence of the boot before, and the mark of this one.
    fn open_diary(&mut self) -> (Option<Diary>, Option<LastEnd>) {
        match Diary::open(Path::new(INIT_FOLDER), &self.survived) {
            Ok((diary, end)) => {
                evidence::note(&end).iter().for_each(|note| self.logs.say(note));
                self.note_board(&diary);
                (Some(diary), Some(end))
            }
            Err(error) => {
                self.logs.say(&format!("No trace of this boot can be kept: {error}."));
                (None, None)
            }
        }
    }

    /// A card that comes from another board works; its owner should know that it was swapped.
    fn note_board(&mut self, diary: &Diary) {
        let Some(serial) = facts::board_serial() else { return };
        match diary.meet_board(&serial) {
            Ok(None) => {}
            Ok(Some(note)) => {
                self.logs.say(&note);
                self.notes.push(note);
            }
            Err(error) => self.logs.say(&format!("The board could not be noted: {error}.")),
        }
    }

    fn load_settings(&mut self) -> Settings {
        let (settings, complaint) = Settings::load();
        if let Some(complaint) = complaint {
            self.logs.say(&complaint);
            self.notes.push(complaint);
        }
        settings
    }

    fn offer(&self, file: Option<&Provisioning>, slots: Option<&SlotStore>) -> Offer {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the kernel has random numbers once init runs");
        Offer::new(file, slots.map(SlotStore::area), random)
    }

    fn name_box(&self, chosen: Option<String>) -> String {
        let name = chosen.unwrap_or_else(|| HOST_NAME.to_owned());
        if let Err(error) = sethostname(name.as_bytes()) {
            self.logs.say(&format!("The host name could not be set: {error}."));
        }
        name
    }

    fn set_clock(&mut self, release: &Release) -> bool {
        clock::apply_floor(release.build_s).unwrap_or_else(|error| {
            self.logs.say(&format!("The clock could not be set to its floor: {error}."));
            false
        })
    }
}
