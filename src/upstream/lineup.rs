//! Who may be asked: a pure function of how the hosts are.

use crate::clock::Moment;
use crate::upstream::Config;
use crate::upstream::Member;
use crate::upstream::vitals::Standing;
use crate::upstream::vitals::Vitals;

/// The hosts of an upstream by the part they play at present; numbers are places in its list of members.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lineup {
    /// They share the requests.
    pub first: Vec<usize>,
    /// They are asked when none of the first may be.
    pub backups: Vec<usize>,
    /// Ejected, and due for a trial.
    pub trials: Vec<usize>,
    /// Too few are well: all are asked, whatever is known of them.
    pub panic: bool,
    /// It is another one from then on, even if nothing happens.
    pub until: Moment,
}

impl Lineup {
    /// The line-up of `members` at `now`.
    pub fn of(members: &[Member], config: &Config, now: Moment) -> Self {
        let seats = members.iter().map(|member| (config.standing(member.host.vitals(), now), member.backup));
        let mut lineup = Self::from_standings(&seats.collect::<Vec<_>>(), config.panic_at);
        let times = members.iter().flat_map(|member| {
            let vitals = member.host.vitals();
            let ramp = vitals.ramp(now, config.slow_start).1;
            [vitals.until().filter(|until| now < *until).unwrap_or(Moment::NEVER), ramp]
        });
        lineup.until = times.min().unwrap_or(Moment::NEVER);
        lineup
    }

    /// By standing and whether it is a backup.
    fn from_standings(seats: &[(Standing, bool)], panic_at: f64) -> Self {
        let of = |rank: bool, may: fn(Standing) -> bool| -> Vec<usize> {
            let found = seats.iter().enumerate().filter(|(_, (standing, backup))| *backup == rank && may(*standing));
            found.map(|(number, _)| number).collect()
        };
        let well = |standing| standing == Standing::Up;
        let here = |standing| standing != Standing::Drained;
        let (mut first, all) = (of(false, well), of(false, here));
        let (mut backups, all_backups) = (of(true, well), of(true, here));
        let trials = seats.iter().enumerate().filter(|(_, (standing, _))| *standing == Standing::HalfOpen);
        let mut lineup =
            Self { trials: trials.map(|(number, _)| number).collect(), until: Moment::NEVER, ..Self::default() };
        if all.is_empty() {
            (first, backups) = (backups, Vec::new());
        } else if (first.len() as f64) < panic_at * all.len() as f64 {
            if !backups.is_empty() {
                first.append(&mut backups);
            } else if all.len() + all_backups.len() > 1 {
                (first, backups) = (all, all_backups);
                lineup.panic = true;
            }
        }
        Self { first, backups, ..lineup }
    }
}

impl Config {
    /// Whether a host may be asked at `now`. Without a rule nobody is ejected, and nobody would be tried again: what a
    /// request from before the reload that took the rule away comes to counts for nothing.
    pub(super) fn standing(&self, vitals: &Vitals, now: Moment) -> Standing {
        match vitals.standing(now) {
            Standing::Ejected | Standing::HalfOpen if self.eject.is_none() => Standing::Up,
            standing => standing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lineup;
    use super::Standing;
    use super::Standing::Down;
    use super::Standing::Drained;
    use super::Standing::Ejected;
    use super::Standing::HalfOpen;
    use super::Standing::Up;

    fn lineup(first: &[Standing], backups: &[Standing], panic_at: f64) -> (Vec<usize>, Vec<usize>, bool) {
        let seats = first.iter().map(|it| (*it, false)).chain(backups.iter().map(|it| (*it, true)));
        let lineup = Lineup::from_standings(&seats.collect::<Vec<_>>(), panic_at);
        (lineup.first, lineup.backups, lineup.panic)
    }

    #[test]
    fn who_is_down_ejected_or_drained_is_not_asked() {
        assert_eq!(lineup(&[Up, Down, Up, Ejected, Up, Drained], &[], 0.5), (vec![0, 2, 4], vec![], false));
        assert_eq!(lineup(&[Up, Up], &[Up, Down], 0.5), (vec![0, 1], vec![2], false));
    }

    #[test]
    fn below_the_threshold_backups_join_in_and_without_one_everybody_is_asked() {
        assert_eq!(lineup(&[Up, Down, Down], &[], 0.5), (vec![0, 1, 2], vec![], true));
        assert_eq!(lineup(&[Up, Down], &[], 0.5), (vec![0], vec![], false), "half is enough");
        assert_eq!(lineup(&[Up, Down, Down], &[Up], 0.5), (vec![0, 3], vec![], false));
        assert_eq!(lineup(&[Down, Down], &[Up], 0.5), (vec![2], vec![], false));
        assert_eq!(lineup(&[Down, Ejected], &[Down], 0.5), (vec![0, 1], vec![2], true));
        assert_eq!(lineup(&[Up, Down, Down], &[], 0.0), (vec![0], vec![], false), "0 turns it off");
        assert_eq!(lineup(&[Down, Down], &[], 0.0), (vec![], vec![], false));
    }

    #[test]
    fn a_single_host_that_is_out_is_not_asked_and_drained_ones_never_are() {
        assert_eq!(lineup(&[Down], &[], 0.5), (vec![], vec![], false));
        assert_eq!(lineup(&[Ejected], &[], 0.5), (vec![], vec![], false));
        assert_eq!(lineup(&[Drained, Drained, Down], &[], 1.0), (vec![], vec![], false));
        assert_eq!(lineup(&[Drained, Down, Down], &[], 1.0), (vec![1, 2], vec![], true));
        assert_eq!(lineup(&[Drained], &[Up], 0.5), (vec![1], vec![], false));
    }

    #[test]
    fn a_host_due_for_a_trial_is_kept_apart() {
        let seats = [(HalfOpen, false), (Up, false), (Up, false), (HalfOpen, true)];
        let lineup = Lineup::from_standings(&seats, 0.5);
        assert_eq!((lineup.first, lineup.backups, lineup.trials), (vec![1, 2], vec![], vec![0, 3]));
    }
}
