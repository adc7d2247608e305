//! Unusual images: a stage must see in each what `docker run` shows, both at first and after any other stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use sandbox::{DatumTask, DockerExecutor, Executor, Network, Sandbox, SandboxSpec};

use super::{Log, docker, docker_says, sh};

/// Prints a line per path: type and permissions, owner, for files also size, modification time and content; then user and working folder.
const LOOK: &str = r#"
for place in / /tmp/ /var/tmp/ /data/; do
    find $place -xdev ! -path '/proc/*' ! -path '/sys/*' ! -type f -exec stat -c '%n %A %u:%g %N' {} +
    find $place -xdev -type f ! -name .dockerenv ! -path '/etc/host*' ! -path /etc/resolv.conf -exec stat -c '%n %A %u:%g %s %Y' {} +
    find $place -xdev -type f ! -path '/etc/host*' -exec md5sum {} +
done 2>/dev/null
echo "id: $(id)"; echo "groups: $(grep Groups /proc/self/status)"; echo "home: $HOME"; echo "path: $PATH"; echo "pwd: $(pwd)"
echo "umask: $(umask)"; echo "said: $SAID"; (echo x > /tmp/may) 2>/dev/null && echo "tmp can be written"; rm -f /tmp/may
true"#;

/// Does as much damage as possible; keeps the shell and what it needs, since without them it could do less.
const HARM: &str = "for f in /tmp /var/tmp /data /code /srv /odd /home /root /opt; do chmod -R 777 $f; chown -R 7:7 $f; rm -rf $f/* $f/.[a-z]*; \
                    echo x > $f/left; mkdir -p $f/left.d; done 2>/dev/null; echo x >> /etc/passwd; echo x >> /etc/group; exit 0";

/// The images, as `docker import` makes them: name, changes of the configuration, and a script that runs in their root.
const IMAGES: &[(&str, &[&str], &str)] = &[
    ("code-and-tmp", &["HEALTHCHECK CMD false", "ENV SAID=hello"], "
        mkdir -p code/lib tmp; chmod 1777 tmp; echo 'echo here' > code/main.sh; echo x > code/lib/x; chown 1000:100 code/lib/x
        mkdir tmp/cache; echo kept > tmp/cache/kept; chown -R 1000:100 tmp/cache; chmod 700 tmp/cache"),
    ("user-by-name-no-tmp", &["USER ana", "WORKDIR /home/ana"], ""),
    ("user-by-number-no-passwd", &["USER 1001", "WORKDIR /not/there"], "rm -r etc; mkdir -m 1777 tmp"),
    ("user-and-group-closed-tmp", &["USER 1234:4321", "WORKDIR relative/place"], "mkdir -m 700 tmp; chown 1234:4321 tmp"),
    ("odd-rights", &[], "
        mkdir -m 1777 tmp; mkdir odd; cd odd; cp ../bin/busybox setuid; chmod 4755 setuid; cp ../bin/busybox setgid; chmod 2755 setgid
        echo x > owned; chown 60000:60001 owned; chmod 640 owned; mkdir -m 555 closed; echo x > closed/x; mkdir -m 500 shut; echo x > shut/x
        mkdir -m 1777 sticky; mkdir -m 2775 group; ln -s nowhere dangling; ln owned linked; mkfifo -m 600 pipe; mkdir empty
        touch -d @1 old; printf x > 'a name with spaces and ä'; chmod 000 owned; touch none; chmod 000 none"),
    ("volume", &["USER ana:video", "VOLUME /data", "VOLUME /var/empty"], "
        mkdir -m 1777 tmp; mkdir -p data/in var/empty; echo x > data/in/x; chown -R 1000:44 data; chmod 750 data"),
    ("links", &["WORKDIR /code"], "
        mkdir -p var/tmp srv/app; chmod 1777 var/tmp; ln -s var/tmp tmp; echo x > srv/app/x; ln -s srv/app code; ln -s /root home/ana/root"),
    ("entrypoint-only", &["ENTRYPOINT [\"/bin/sh\",\"-c\",\"echo from the entrypoint\"]", "ENV HOME=/srv", "ENV PATH=/srv/bin:/bin"], "
        mkdir -m 1777 tmp; mkdir -p srv/bin"),
    ("root-in-groups", &["ENV HOME="], "mkdir -m 755 tmp; echo 'extra:x:77:root,ana' >> etc/group; mkdir -m 700 root/deep"),
];

fn build(name: &str, changes: &[&str], script: &str) -> String {
    let image = format!("pv-test-odd-{name}:1");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/odd.sh");
    let status = Command::new("sh").arg(scripts).arg(&image).arg(script).args(changes).status().unwrap();
    assert!(status.success(), "{image}");
    image
}

/// What `docker run` shows.
fn in_docker(image: &str) -> BTreeSet<String> {
    let args = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", image, "-c", LOOK];
    docker_says(&args).lines().map(str::to_owned).collect()
}

async fn fresh(executor: &DockerExecutor, spec: &SandboxSpec) -> Sandbox {
    executor.open(spec, &Log::default()).await.unwrap()
}

/// What a stage sees: in a fresh sandbox, and in one that follows a destructive stage.
async fn under_pv(executor: &DockerExecutor, image: &str) -> [BTreeSet<String>; 2] {
    let image = executor.resolve_image(image, &|_| {}).await.unwrap();
    let spec = SandboxSpec { image: Some(image.id), network: Network::None, ..SandboxSpec::default() };
    let mut seen = Vec::new();
    let mut sandbox = fresh(executor, &spec).await;
    for script in [LOOK, HARM, LOOK] {
        let said = sh(&mut sandbox, script).await;
        seen.push(said.lines().map(str::to_owned).collect());
        if sandbox.spent_by().is_some() {
            std::mem::replace(&mut sandbox, fresh(executor, &spec).await).close().await.unwrap();
        }
    }
    sandbox.close().await.unwrap();
    let [first, _, second] = seen.try_into().unwrap();
    [first, second]
}

/// Lines about the sandbox's own paths, and about the `/tmp` that is added to an image without one.
fn is_own(line: &str, has_tmp: bool) -> bool {
    let own = ["/.pv ", "/pfs ", "/pfs/out "];
    let new = ["/tmp drwxrwxrwt 0:0 ", "/tmp/ drwxrwxrwt 0:0 ", "tmp can be written"];
    own.iter().any(|place| line.starts_with(place)) || (!has_tmp && new.iter().any(|line_of| line.starts_with(line_of)))
}

#[tokio::test]
async fn a_stage_sees_of_its_image_what_docker_run_shows() {
    let Some((executor, _)) = docker().await else { return };
    for (name, changes, script) in IMAGES {
        let image = build(name, changes, script);
        let expected = in_docker(&image);
        assert!(expected.len() > 200, "{name}: {expected:?}");
        let has_tmp = !name.ends_with("no-tmp");
        for seen in under_pv(&executor, &image).await {
            let more: Vec<_> = seen.difference(&expected).filter(|line| !is_own(line, has_tmp)).collect();
            let less: Vec<_> = expected.difference(&seen).collect();
            assert_eq!((more, less), (vec![], vec![]), "{name}: seen under pv alone, and with docker run alone");
            assert!(has_tmp || seen.contains("tmp can be written"), "{name}");
        }
    }
    executor.clean_up(&BTreeSet::new()).await.unwrap();
}

#[tokio::test]
async fn a_container_has_no_health_check_and_a_limit_of_processes() {
    let Some((executor, _)) = docker().await else { return };
    let (name, changes, script) = IMAGES[0];
    let image = executor.resolve_image(&build(name, changes, script), &|_| {}).await.unwrap();
    let mark = format!("{}", std::process::id());
    let labels = BTreeMap::from([("pv.test".to_owned(), mark.clone())]);
    let spec = SandboxSpec { image: Some(image.id), labels, ..SandboxSpec::default() };
    let mut sandbox = fresh(&executor, &spec).await;
    sh(&mut sandbox, "true").await;
    let id = docker_says(&["ps", "-q", "--filter", &format!("label=pv.test={mark}")]);
    let format = "{{.Config.Healthcheck.Test}} {{.HostConfig.PidsLimit}} {{.HostConfig.IpcMode}}";
    let most = 1024 * std::thread::available_parallelism().unwrap().get().max(2);
    assert_eq!(docker_says(&["inspect", "-f", format, id.trim()]), format!("[NONE] {most} private\n"));
    sandbox.close().await.unwrap();
}

#[tokio::test]
async fn what_an_image_has_at_a_path_is_found() {
    let Some((executor, _)) = docker().await else { return };
    for (name, path, expected) in [
        ("code-and-tmp", "/code", true),
        ("code-and-tmp", "/code/main.sh", true),
        ("code-and-tmp", "/app", false),
        ("links", "/code", true),
        ("odd-rights", "/odd/empty", false),
        ("odd-rights", "/odd", true),
        ("odd-rights", "/odd/dangling", true),
        ("volume", "/data", true),
    ] {
        let (_, changes, script) = IMAGES.iter().find(|image| image.0 == name).unwrap();
        let image = executor.resolve_image(&build(name, changes, script), &|_| {}).await.unwrap();
        assert_eq!(executor.has_content_at(&image.id, path).await.unwrap(), expected, "{name}: {path}");
    }
}

#[tokio::test]
async fn a_process_that_works_in_tmp_alone_keeps_its_sandbox() {
    let Some((executor, _)) = docker().await else { return };
    for (name, changes, script) in &IMAGES[1..4] {
        let image = executor.resolve_image(&build(name, changes, script), &|_| {}).await.unwrap();
        let spec = SandboxSpec { image: Some(image.id), user: Some("0".to_owned()), ..SandboxSpec::default() };
        let mut sandbox = fresh(&executor, &spec).await;
        for _ in 0..3 {
            let left =
                sh(&mut sandbox, "ls -A /tmp; echo x > /tmp/x; mkdir /tmp/d; chmod 777 /tmp; echo x > /pfs/out/x")
                    .await;
            assert_eq!((left.as_str(), sandbox.spent_by()), ("", None), "{name}");
        }
        let task =
            DatumTask { cmd: ["sh", "-c", "echo x > /root.txt"].map(str::to_owned).to_vec(), ..DatumTask::default() };
        sandbox.run(&task, &Log::default(), &mut Log::default()).await.unwrap();
        assert!(sandbox.spent_by().is_some_and(|why| why.contains("`/root.txt`")), "{:?}", sandbox.spent_by());
        sandbox.close().await.unwrap();
    }
}
