//! What was stored and the service confirms (304), or what stands in for a service that fails.

use std::sync::Arc;
use std::time::Duration;

use super::Fill;
use super::Filled;
use crate::cache::Entry;
use crate::cache::answer;
use crate::cache::freshness::Why;
use crate::cache::key;
use crate::cache::space::Lead;
use crate::http::Response;
use crate::script::bind::core::cache::How;
use crate::script::bind::core::cache::options::Said;
use crate::script::bind::core::cache::stored;

impl Fill {
    /// What was stored is still right (RFC 9111 §4.3.4), for the client who asked at least.
    pub(super) fn confirmed(self, mut lead: Lead, old: &Arc<Entry>, response: &Response) {
        if !answer::is_about(&old.headers, &response.headers) {
            lead.forgets();
            let age = old.age(self.now());
            return self.tell_stored(old, How::Confirmed, age, response);
        }
        let headers = answer::freshened(&old.headers, &response.headers);
        let mut whole = Response { status: old.status, headers: headers.clone(), ..Response::default() };
        let life = match self.life(&mut whole, &Said::default()) {
            // a function of the script said how long it lives
            Err(Why::Lifetime) => Ok(old.life.clone()),
            life => life,
        };
        let same = *key::names(&headers, &self.policy.vary) == *old.vary;
        let entry = Arc::new(Entry {
            status: old.status,
            headers,
            life: life.clone().unwrap_or_default(),
            arrived: self.now(),
            born: lead.born,
            key: old.key.clone(),
            vary: old.vary.clone(),
            tags: old.tags.clone(),
            path: old.path.clone(),
            content: Arc::clone(&old.content),
        });
        if life.is_ok() && same {
            lead.begins(&entry, &old.vary, &self.fields);
            lead.stored(Arc::clone(&entry));
        } else {
            lead.forgets();
        }
        let age = entry.age(self.now());
        self.tell_stored(&entry, How::Confirmed, age, response);
    }

    /// The first client gets what is stored, and the cookies of the 304 that it was confirmed by.
    pub(super) fn tell_stored(mut self, entry: &Arc<Entry>, how: How, age: Duration, confirming: &Response) {
        let Some((first, tell)) = self.first.take() else { return };
        self.note(&first);
        if let Some(mut response) = stored(&self.policy, &first, entry, how, age) {
            confirming.headers.all("set-cookie").for_each(|cookie| response.headers.add("set-cookie", cookie));
            drop(tell.send(Filled::Answer(Box::new(response), None)));
        }
    }
}
