//! The simulator's own promises.

use crate::mutants::Faults;
use crate::world::run;

#[test]
fn the_same_seed_tells_the_same_story_and_another_seed_another_one() {
    let (one, again, other) =
        (run(3, Faults::None, false), run(3, Faults::None, false), run(4, Faults::None, false));
    assert_eq!(one.violation, None);
    assert_eq!(one.hash, again.hash);
    assert_ne!(one.hash, other.hash);
}

#[test]
fn a_few_seeds_keep_every_promise() {
    for seed in 0..8 {
        let ended = run(seed, Faults::None, false);
        assert_eq!(ended.violation, None, "seed {seed}");
        assert!(ended.tally.commands > 0, "seed {seed}");
    }
}
