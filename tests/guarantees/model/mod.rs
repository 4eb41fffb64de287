//! Random reads under several contracts, callbacks (also reloaded ones) and erasures, compared with a simple model of an
//! account. Several run at the same time, with conflicts in DynamoDB. The result must be that of some order of them.

mod case;

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use local::names;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use tests::World;

use self::case::Case;

const CASES: u32 = 48;

/// Something that happens to the one account of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A read result arrives. Its read session was started in that minute of the hour of reads, under one of three
    /// contracts or none. A result that was handed in before the user was last erased can still arrive, by a redrive.
    Read { minute: u8, error: bool, contract: u8, before_erasure: bool },
    /// The callback of the reauthorization of that number is loaded, for the first time or again.
    Callback { number: usize, success: bool },
    /// All notifications so far arrive again, as after a redrive.
    RedriveEvents,
    /// The user is erased, and gets a new grant when the moment is over.
    Erase,
}

/// Steps that run at the same time, and whether the account is authorized at digi.me then.
#[derive(Debug, Clone)]
struct Moment {
    steps: Vec<Step>,
    authorized: bool,
    conflicts: u8,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let step = prop_oneof![
        6 => (0..12_u8, any::<bool>(), 0..4_u8, proptest::bool::weighted(0.2)).prop_map(
            |(minute, error, contract, before_erasure)| Step::Read { minute, error, contract, before_erasure }),
        4 => (0..3_usize, any::<bool>()).prop_map(|(number, success)| Step::Callback { number, success }),
        1 => Just(Step::RedriveEvents),
        1 => Just(Step::Erase),
    ];
    let moment = (vec(step, 1..=3), any::<bool>(), 0..3_u8);
    let moment = moment.prop_map(|(steps, authorized, conflicts)| Moment { steps, authorized, conflicts });
    vec(moment, 1..10)
}

/// Why a reauthorization of the model failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    Cancelled,
    NotAuthorized,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Pending,
    Succeeded,
    Failed(Failure),
}

/// A reauthorization of the model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    progress: Progress,
    notified: BTreeSet<Failure>,
    /// How often digi.me was asked about it.
    asked: u8,
}

/// An account and its reauthorizations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Model {
    needs_user: bool,
    history: Vec<&'static str>,
    /// The last read that was taken in.
    read: Option<(u8, bool)>,
    /// The minute of the last reauthorization; callbacks come after all reads.
    reauthorized: Option<u8>,
    attempts: [Option<Attempt>; 3],
    erased: bool,
}

const AFTER_ALL_READS: u8 = u8::MAX;
/// digi.me is asked about one reauthorization this often within ten minutes, and no moment lasts longer.
const MAX_ASKED: u8 = 5;

impl Model {
    fn new() -> Self {
        let attempt = || Some(Attempt { progress: Progress::Pending, notified: BTreeSet::new(), asked: 0 });
        let attempts = std::array::from_fn(|_| attempt());
        Self { needs_user: false, history: Vec::new(), read: None, reauthorized: None, attempts, erased: false }
    }

    fn take(mut self, step: Step, authorized: bool) -> Self {
        match step {
            Step::Read { before_erasure: true, .. } if self.erased => {}
            Step::Read { minute, error, .. } => self.read(minute, error),
            Step::Callback { number, success } => self.callback(number, success, authorized),
            Step::RedriveEvents => {}
            Step::Erase => return Self::erased(),
        }
        self
    }

    fn read(&mut self, minute: u8, error: bool) {
        let known = self.read.is_some_and(|read| (minute, error) <= read);
        let outdated = self.reauthorized.is_some_and(|at| minute < at);
        if known || outdated {
            return;
        }
        self.read = Some((minute, error));
        match (self.needs_user, error) {
            (false, true) => self.history.push("account.reauthorization_required"),
            (true, false) => {
                self.history.push("account.reauthorized");
                self.reauthorized = Some(minute);
            }
            _ => {}
        }
        self.needs_user = error;
    }

    fn callback(&mut self, number: usize, success: bool, authorized: bool) {
        let Some(attempt) = &mut self.attempts[number] else { return };
        let failure = match (attempt.progress, success) {
            (Progress::Succeeded, _) | (Progress::Failed(_), false) => return,
            (Progress::Pending, false) => Failure::Cancelled,
            (_, true) if attempt.asked == MAX_ASKED => return,
            (_, true) => {
                attempt.asked += 1;
                if authorized {
                    attempt.progress = Progress::Succeeded;
                    self.history.push("account.reauthorized");
                    (self.needs_user, self.reauthorized) = (false, Some(AFTER_ALL_READS));
                    return;
                }
                Failure::NotAuthorized
            }
        };
        attempt.progress = Progress::Failed(failure);
        if attempt.notified.insert(failure) {
            self.history.push("account.reauthorization_failed");
        }
    }

    /// The model of a user who was erased and got a new grant.
    fn erased() -> Self {
        Self { attempts: [None, None, None], erased: true, ..Self::new() }
    }
}

/// All possible results of steps that run at the same time.
fn outcomes(models: &BTreeSet<Model>, steps: &[Step], authorized: bool) -> BTreeSet<Model> {
    // An erasure also removes what was triggered at the same moment, in any order.
    if steps.contains(&Step::Erase) {
        return BTreeSet::from([Model::erased()]);
    }
    if steps.is_empty() {
        return models.clone();
    }
    let mut outcomes_of_all = BTreeSet::new();
    for index in 0..steps.len() {
        let mut rest = steps.to_vec();
        let first = rest.remove(index);
        let after: BTreeSet<_> = models.iter().map(|model| model.clone().take(first, authorized)).collect();
        outcomes_of_all.extend(outcomes(&after, &rest, authorized));
    }
    outcomes_of_all
}

#[test]
fn whatever_happens_in_whatever_order_an_account_is_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::builder().start());
    // Both versions of the service secret are equal. Concurrent transactions on one item are refused.
    let secret = world.system.secrets.get(names::SERVICE_SECRET).unwrap();
    world.system.secrets.put(names::SERVICE_SECRET, &secret);
    world.system.aws.hold_transactions(Duration::from_millis(1));
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let number = Cell::new(0);
    let result = runner.run(&moments(), |moments| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let mut case = Case::begin(&world, number.get()).await;
            let mut models = BTreeSet::from([Model::new()]);
            for moment in &moments {
                case.happens(moment).await;
                let (needs_user, history) = case.seen().await;
                let possible = outcomes(&models, &moment.steps, moment.authorized);
                let fits = |model: &Model| model.needs_user == needs_user && model.history == history;
                models = possible.iter().filter(|model| fits(model)).cloned().collect();
                if models.is_empty() {
                    let reason = format!("{moment:?} ended in {needs_user} {history:?}, possible is {possible:#?}");
                    return Err(TestCaseError::fail(reason));
                }
            }
            case.assert_everything_was_published().await;
            Ok(())
        })
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
