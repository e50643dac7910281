//! What changes the standing of a host: errors, checks, a hand. One change at a time, told to whoever reads the news.

use std::sync::Arc;

use crate::clock::Moment;
use crate::upstream::Balance;
use crate::upstream::Health;
use crate::upstream::Host;
use crate::upstream::Lineup;
use crate::upstream::Member;
use crate::upstream::Shared;
use crate::upstream::eject::Said;
use crate::upstream::host::written;
use crate::upstream::news::Change;
use crate::upstream::news::News;

impl Shared {
    /// Where changes of hosts are told from now on.
    pub fn report_to(&self, news: &News) {
        let _ = self.pulse.news.set(news.clone());
    }

    /// Who may be asked at `now`.
    pub fn lineup(&self, now: Moment) -> Lineup {
        Lineup::of(&self.members(), self.config(), now)
    }

    /// Hosts are in force as this generation declares them: what it does not watch any more is forgiven.
    pub fn settle(&self, now: Moment) {
        for member in self.members().iter() {
            let vitals = member.host.vitals();
            if self.config.health.is_none() && vitals.is_down() {
                self.change(&member.host, "no longer checked", || {
                    vitals.set_down(false, now, "");
                    true
                });
            }
            if self.config.eject.is_none() && vitals.is_ejected() {
                self.change(&member.host, "no longer ejected", || {
                    vitals.forgive(now);
                    true
                });
            }
        }
    }

    /// Takes hosts out (`drained`) or in again: those whose label or written address is `host`. How many there are.
    pub fn drain(&self, host: &str, drained: bool, now: Moment) -> usize {
        let members = self.members();
        let meant: Vec<&Member> = members.iter().filter(|member| is_meant(&member.host, host)).collect();
        for member in &meant {
            let reason = if drained { "drained" } else { "taken in again" };
            self.change(&member.host, reason, || {
                member.host.vitals().set_drained(drained, now);
                true
            });
        }
        meant.len()
    }

    /// Leave to try an ejected host.
    pub(crate) fn may_try(&self, host: &Host, now: Moment) -> bool {
        self.config.eject.is_some_and(|rule| host.vitals().claim(now, rule.cooldown))
    }

    /// What an attempt from `start` to `now` said about `host`.
    pub(crate) fn note(&self, host: &Arc<Host>, said: Said, start: Moment, now: Moment) {
        self.observe(host, said, start, now);
        self.judge(host, said, start, now);
    }

    /// How long `host` took, where that matters.
    pub(in crate::upstream) fn observe(&self, host: &Host, said: Said, start: Moment, now: Moment) {
        if self.config.balance == Balance::Ewma {
            let took = now.since(start);
            // who fails at once is not quick
            host.vitals().latency.observe(if said == Said::Ill { took.max(Said::PRICE) } else { took }, now);
        }
    }

    /// Whether `host` is to be left alone for what it did.
    pub(in crate::upstream) fn judge(&self, host: &Arc<Host>, said: Said, start: Moment, now: Moment) {
        let vitals = host.vitals();
        let Some(rule) = &self.config.eject else { return };
        if vitals.is_ejected() {
            match said {
                _ if !vitals.is_trial(start) => {}
                Said::Well => self.change(host, "a trial succeeded", || {
                    vitals.forgive(now);
                    true
                }),
                Said::Ill => self.change(host, "a trial failed", || {
                    vitals.eject(now, rule.cooldown, "a trial failed");
                    true
                }),
            }
        } else if let Some(cause) = vitals.tally.count(rule, said, now) {
            vitals.tally.clear();
            self.eject(host, &cause, now);
        }
    }

    /// What a check said about `host`.
    pub(crate) fn checked(&self, host: &Arc<Host>, rule: &Health, result: Result<(), String>, now: Moment) {
        let vitals = host.vitals();
        let reason =
            result.as_ref().err().map_or_else(|| "checks pass".to_owned(), |cause| format!("checks fail: {cause}"));
        let verdict = vitals.record.lock().note(rule, result, vitals.is_down());
        if let Some(up) = verdict {
            self.change(host, &reason, || {
                vitals.set_down(!up, now, &reason);
                true
            });
        }
    }

    fn eject(&self, host: &Arc<Host>, cause: &str, now: Moment) {
        let Some(rule) = &self.config.eject else { return };
        let members = self.members();
        let here = || members.iter().filter(|member| !member.host.vitals().is_drained());
        self.change(host, cause, || {
            let out = here().filter(|member| member.host.vitals().is_ejected()).count();
            let room = !host.vitals().is_ejected() && out < rule.most_of(here().count());
            if room {
                host.vitals().eject(now, rule.cooldown, cause);
            }
            room
        });
    }

    /// A change of a standing, if `change` makes one: workers look again, and what it comes to is told.
    fn change(&self, host: &Arc<Host>, reason: &str, change: impl FnOnce() -> bool) {
        let turn = self.pulse.turn.lock();
        let before = host.vitals().is_well();
        if !change() {
            return;
        }
        let after = host.vitals().is_well();
        self.pulse.raise();
        drop(turn);
        if before != after
            && let Some(news) = self.pulse.news.get()
        {
            let (upstream, host) = (self.config.name.clone(), Arc::clone(&host.label));
            news.tell(Change { upstream, host, up: after, reason: reason.to_owned() });
        }
    }
}

fn is_meant(host: &Host, text: &str) -> bool {
    *host.label == *text || written(&host.address) == text || host.reach.iter().any(|at| at.to_string() == text)
}
