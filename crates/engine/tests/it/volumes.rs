//! Volumes on real engines.

use crate::here::on;
use base::names::VolumeName;
use engine::models::VolumeCreateRequest;
use engine::ops::volumes::RemoveVolume;
use engine::{Error, Filters};
use serde_json::json;
use std::collections::HashMap;
use testkit::{Scope, all_engines};

fn request(scope: &Scope, what: &str) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(scope.name(what)),
        labels: Some(HashMap::from([(Scope::KEY.to_owned(), scope.value().to_owned())])),
        ..VolumeCreateRequest::default()
    }
}

#[tokio::test]
async fn a_volume_from_its_making_to_its_removal() {
    for daemon in all_engines() {
        let scope = Scope::on(daemon.clone(), "volume");
        let engine = on(&daemon);
        let nothing = Filters::new().with("label", scope.label());
        assert!(engine.volume_list(&nothing).await.unwrap().is_empty());

        let created = engine.volume_create(&request(&scope, "data")).await.unwrap();
        assert_eq!(created["Driver"], "local");
        // Making it again gives the one that is there.
        let again = engine.volume_create(&request(&scope, "data")).await.unwrap();
        assert_eq!(again["CreatedAt"], created["CreatedAt"]);
        assert_eq!(engine.volume_list(&nothing).await.unwrap().len(), 1);

        let name = VolumeName::parse(&scope.name("data")).unwrap();
        assert_eq!(engine.volume_inspect(&name).await.unwrap()["Name"], name.as_str());
        engine.volume_remove(&name, RemoveVolume::Orderly).await.unwrap();
        assert!(matches!(
            engine.volume_inspect(&name).await,
            Err(Error::NotFound { .. })
        ));
        let gone = engine.volume_remove(&name, RemoveVolume::Orderly).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })));
        engine.volume_remove(&name, RemoveVolume::Forced).await.unwrap();
        scope.finish().await;
    }
}

#[tokio::test]
async fn a_volume_in_use_stays() {
    for daemon in all_engines() {
        let scope = Scope::on(daemon.clone(), "volume-used");
        let engine = on(&daemon);
        let name = VolumeName::parse(&scope.volume("data").await).unwrap();
        let bind = json!({ "HostConfig": { "Binds": [format!("{name}:/data")] } });
        let container = scope.create("holder", bind).await;
        let error = engine
            .volume_remove(&name, RemoveVolume::Forced)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        assert!(error.to_string().contains(&container), "{error}");
        scope.finish().await;
    }
}
