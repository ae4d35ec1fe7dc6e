//! Series that nobody finds: the service tries itself with them. They are of the hub like others, under the same
//! lock, budget and age, but in no list, no event and no study, and not remembered when they are gone. Only who is
//! handed the [`LiveSeries`] can read one.

use std::sync::Arc;

use super::series::LiveSeries;
use super::{Hub, OpenError, Publisher};
use crate::instance::{Dataset, Uid};

impl Hub {
    /// Opens a series that is listed nowhere. It ends as soon as its publisher goes, without lingering, and
    /// nothing of it stays in the hub; readers that have it read it to its end. It does not count towards
    /// `hub.max_series`.
    ///
    /// # Errors
    /// When we are shutting down.
    pub fn open_unlisted(
        &self,
        study: Uid,
        series: Uid,
        context: Dataset,
    ) -> Result<Publisher, OpenError<std::convert::Infallible>> {
        if self.state().draining {
            return Err(OpenError::Draining);
        }
        let now = (self.shared.clock)();
        let series = Arc::new(LiveSeries::new(study, series, Arc::new(context), now));
        series.join(now);
        Ok(Publisher { hub: self.clone(), series, left: false, listed: false })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use dicom_core::{DataElement, VR};
    use dicom_dictionary_std::tags;
    use tokio::sync::broadcast::error::TryRecvError;

    use super::super::{Cursor, Cursors, End, From, HubEvent, Item};
    use super::*;
    use crate::config::settings::HubSettings;
    use crate::instance::Instance;

    fn instance(series: &str, number: i32) -> Instance {
        let text = |tag, vr, text: &str| DataElement::new(tag, vr, text);
        let dataset = Dataset::from_element_iter([
            text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.7"),
            text(tags::SOP_INSTANCE_UID, VR::UI, &format!("{series}.{number}")),
            text(tags::STUDY_INSTANCE_UID, VR::UI, "1"),
            text(tags::SERIES_INSTANCE_UID, VR::UI, series),
            text(tags::INSTANCE_NUMBER, VR::IS, &number.to_string()),
        ]);
        Instance::native(&dataset, Bytes::from_static(&[0; 16])).unwrap()
    }

    fn unlisted(hub: &Hub) -> Publisher {
        hub.open_unlisted("1".into(), "1.9".into(), Dataset::new_empty()).unwrap()
    }

    #[tokio::test]
    async fn it_shows_nowhere_and_leaves_nothing() {
        let hub = Hub::new(HubSettings::default());
        let listed =
            hub.open(&"1".into(), &"1.1".into(), || Ok::<_, Infallible>(Dataset::new_empty())).unwrap();
        let (mut events, changed) = (hub.events(), hub.changed());
        let mut study = Cursors::of_study(hub.clone(), "1".into(), From::Oldest);

        let publisher = unlisted(&hub);
        let mut reader = Cursor::new(publisher.series().clone(), From::Oldest);
        publisher.publish(instance("1.9", 1)).unwrap();
        assert!(matches!(reader.next().await, Item::Instance(_)));
        publisher.publish(instance("1.9", 2)).unwrap();
        let names = |series: Vec<Arc<LiveSeries>>| {
            series.iter().map(|live| live.series().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(hub.series()), ["1.1"]);
        assert_eq!(names(hub.study("1")), ["1.1"]);
        assert!(hub.find("1", "1.9").is_none());
        assert_eq!(hub.occupancy().series, 1);
        assert_eq!(hub.occupancy().instances, 2, "it is under the budget of all rings");

        publisher.complete();
        assert!(matches!(reader.next().await, Item::Instance(_)), "what is left is still read");
        assert!(matches!(reader.next().await, Item::End(End::Completed)), "and it ends without lingering");
        hub.tick();
        assert!(!hub.was_here("1", Some("1.9")));
        let occupancy = hub.occupancy();
        assert_eq!((occupancy.bytes, occupancy.instances, occupancy.evicted), (0, 0, 0));
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
        assert!(!changed.has_changed().unwrap());

        // The first that anybody hears of the study is of the series that is listed.
        listed.publish(instance("1.1", 1)).unwrap();
        let (of, _) = study.next().await;
        assert_eq!(&**of.unwrap().series(), "1.1");
        assert!(matches!(events.try_recv(), Ok(HubEvent::Available(live, ..)) if &**live.series() == "1.1"));
    }

    #[tokio::test]
    async fn one_whose_publisher_is_dropped_is_aborted_and_gone_too() {
        let hub = Hub::new(HubSettings::default());
        let publisher = unlisted(&hub);
        publisher.publish(instance("1.9", 1)).unwrap();
        let mut reader = Cursor::new(publisher.series().clone(), From::Latest);
        let mut events = hub.events();
        drop(publisher);
        assert!(matches!(reader.next().await, Item::Instance(_)));
        assert!(matches!(reader.next().await, Item::End(End::Aborted)));
        assert_eq!(hub.occupancy().instances, 0);
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
        hub.shutdown();
        assert!(hub.open_unlisted("1".into(), "1.9".into(), Dataset::new_empty()).is_err());
    }
}
