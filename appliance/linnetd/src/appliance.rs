//! What the web side may learn from init and have done by it. Answers of init carry no number: they
//! come in the order of the questions, so whoever writes a question first leaves its place here.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use update::control::{BoxFacts, FromInit, Network, Setting, Status, ToInit, WifiChoice};
use web::{Answer, ApplianceReport, ClockReport, CoreError, Order};

use crate::limits::INIT_ANSWER_TIME;

/// A request to init, and who waits for the answer, if somebody does.
pub(crate) struct Asked {
    pub(crate) request: ToInit,
    pub(crate) answer: Option<oneshot::Sender<FromInit>>,
}

/// The way to init.
#[derive(Clone)]
pub(crate) struct InitPort {
    queue: SyncSender<Asked>,
}

impl InitPort {
    pub(crate) fn new(queue: SyncSender<Asked>) -> Self {
        Self { queue }
    }

    /// Says something of which only a refusal matters, and that goes to the log. `false` when too
    /// much waits already.
    pub(crate) fn tell(&self, request: ToInit) -> bool {
        self.queue.try_send(Asked { request, answer: None }).is_ok()
    }

    fn ask(&self, request: ToInit) -> Answer<FromInit> {
        let (sender, receiver) = oneshot::channel();
        let sent = self.queue.try_send(Asked { request, answer: Some(sender) });
        Box::pin(async move {
            sent.map_err(|_| CoreError::Busy { retry_after_ms: 1_000 })?;
            match tokio::time::timeout(INIT_ANSWER_TIME, receiver).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(CoreError::ShuttingDown),
                Err(_) => Err(CoreError::Refused("The system did not answer in time.".into())),
            }
        })
    }
}

/// Places of the questions that wait for their answers, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Waiting {
    places: Arc<Mutex<VecDeque<Option<oneshot::Sender<FromInit>>>>>,
}

impl Waiting {
    /// To be called before the question is written.
    pub(crate) fn push(&self, asked: Asked) -> ToInit {
        if asked.request.is_answered() {
            self.lock().push_back(asked.answer);
        }
        asked.request
    }

    /// Hands an answer to whoever asked. `Err` gives it back: nobody waits for it.
    pub(crate) fn answer(&self, answer: FromInit) -> Result<(), FromInit> {
        let place = self.lock().pop_front().flatten();
        match place {
            // Whoever asked may have given up.
            Some(place) => drop(place.send(answer)),
            None => return Err(answer),
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Option<oneshot::Sender<FromInit>>>> {
        self.places.lock().expect("no holder of this lock panics")
    }
}

/// The system of the card, where linnetd runs on one.
#[derive(Clone)]
pub(crate) struct Appliance {
    pub(crate) port: InitPort,
    pub(crate) facts: BoxFacts,
}

impl Appliance {
    /// How board and system are.
    pub(crate) fn report(&self) -> Answer<ApplianceReport> {
        let answer = self.port.ask(ToInit::Status);
        let facts = self.facts.clone();
        Box::pin(async move {
            match answer.await? {
                FromInit::Status(status) => Ok(describe(*status, facts)),
                _ => Err(CoreError::Internal),
            }
        })
    }

    /// Has init carry out an order.
    pub(crate) fn order(&self, order: Order) -> Answer<()> {
        let answer = self.port.ask(request(order));
        Box::pin(async move {
            match answer.await? {
                FromInit::Done => Ok(()),
                FromInit::Refused { reason } => Err(CoreError::Refused(reason)),
                _ => Err(CoreError::Internal),
            }
        })
    }
}

/// The report, or the word that there is no system below.
pub(crate) fn report(appliance: Option<&Appliance>) -> Answer<ApplianceReport> {
    appliance.map_or_else(no_appliance, Appliance::report)
}

/// The order, likewise.
pub(crate) fn order(appliance: Option<&Appliance>, order: Order) -> Answer<()> {
    appliance.map_or_else(no_appliance, |appliance| appliance.order(order))
}

fn no_appliance<T: Send + 'static>() -> Answer<T> {
    Box::pin(std::future::ready(Err(CoreError::NoAppliance)))
}

fn request(order: Order) -> ToInit {
    match order {
        Order::SetTime(unix_ms) => ToInit::SetTime { unix_ms },
        Order::SetHostName(name) => ToInit::Set(Setting::HostName(name)),
        Order::SetTimeZone(zone) => ToInit::Set(Setting::TimeZone(zone)),
        Order::SetWifi(wifi) => ToInit::Set(Setting::Wifi(wifi.map(|wifi| WifiChoice {
            ssid: wifi.ssid,
            passphrase: wifi.passphrase,
            country: wifi.country,
        }))),
        Order::Restart => ToInit::Reboot,
        Order::PowerOff => ToInit::PowerOff,
        Order::FactoryReset => ToInit::FactoryReset,
    }
}

fn describe(status: Status, facts: BoxFacts) -> ApplianceReport {
    let Network { interface, address, addresses_v6, announced, .. } = status.network;
    let v4 = address.map(|(address, _)| address.to_string());
    let v6 = addresses_v6.iter().map(ToString::to_string);
    ApplianceReport {
        host_name: announced.unwrap_or(status.host_name),
        interface,
        addresses: v4.into_iter().chain(v6).collect(),
        uptime_ms: status.uptime_ms,
        starts: status.starts,
        board: facts.board,
        kernel: facts.kernel,
        release: facts.release,
        slot: facts.slot.map(|slot| slot.to_string()),
        clock: ClockReport {
            set: status.clock_set,
            time_ms: crate::core::now().0,
            source: status.clock.map(|clock| clock.source.to_string()),
        },
        // init has put the network's complaints among them.
        notes: status.notes,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn asked(request: ToInit) -> (Asked, oneshot::Receiver<FromInit>) {
        let (sender, receiver) = oneshot::channel();
        (Asked { request, answer: Some(sender) }, receiver)
    }

    #[test]
    fn answers_reach_those_who_asked_in_order_and_reports_take_no_place() {
        let waiting = Waiting::default();
        let (first, mut to_first) = asked(ToInit::Status);
        let (second, mut to_second) = asked(ToInit::Reboot);
        let told = Asked { request: ToInit::FactoryReset, answer: None };
        let hint = ToInit::LedHint(update::control::LedHint::Nothing);
        for asked in [first, Asked { request: hint, answer: None }, told, second] {
            waiting.push(asked);
        }
        let refused = || FromInit::Refused { reason: "no".into() };
        waiting.answer(FromInit::Done).unwrap();
        assert_eq!(waiting.answer(refused()), Err(refused()), "nobody waits for this one");
        waiting.answer(refused()).unwrap();
        assert_eq!(to_first.try_recv(), Ok(FromInit::Done));
        assert_eq!(to_second.try_recv(), Ok(refused()));
        assert_eq!(waiting.answer(FromInit::Done), Err(FromInit::Done), "nothing was asked");
    }

    #[test]
    fn every_order_is_a_request_that_init_answers() {
        for order in [
            Order::SetTime(1),
            Order::SetHostName("a".into()),
            Order::SetTimeZone("UTC".into()),
            Order::SetWifi(None),
            Order::Restart,
            Order::PowerOff,
            Order::FactoryReset,
        ] {
            assert!(request(order.clone()).is_answered(), "{order:?}");
        }
    }

    #[tokio::test]
    async fn refusal_reaches_the_owner_in_init_s_words_and_a_full_queue_is_busy() {
        let (sender, receiver) = sync_channel(1);
        let facts = BoxFacts {
            board: "b".into(),
            release: "r".into(),
            kernel: "k".into(),
            memory_bytes: 1,
            slot: None,
        };
        let appliance = Appliance { port: InitPort::new(sender), facts };
        let answer = appliance.order(Order::FactoryReset);
        let busy = appliance.order(Order::Restart).await;
        assert!(matches!(busy, Err(CoreError::Busy { .. })), "{busy:?}");
        let asked = receiver.recv().unwrap();
        assert_eq!(asked.request, ToInit::FactoryReset);
        let reason = "This card is full.".to_owned();
        asked.answer.unwrap().send(FromInit::Refused { reason: reason.clone() }).unwrap();
        assert_eq!(answer.await.unwrap_err().to_string(), reason);
    }
}
