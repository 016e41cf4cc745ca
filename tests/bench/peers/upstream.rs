//! The app alone, without a proxy: the least that an answer takes.

use std::path::Path;

use integration::Result;

use super::{Contestant, Running, Shape};
use crate::process::{Program, free_address};
use crate::site::Site;

/// The app.
pub(crate) struct Upstream;

impl Contestant for Upstream {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn how(&self) -> &'static str {
        "no proxy: the app itself, hyper and rustls"
    }

    fn version(&self) -> Result<String> {
        Ok("of this repository".into())
    }

    fn start(&self, site: &Site, shape: Shape, folder: &Path) -> Result<Running> {
        let addresses = [free_address()?, free_address()?, free_address()?];
        let [plain, _, tls] = addresses;
        let mut command = site.placement.command(&std::env::current_exe()?);
        command.arg("upstream").arg(site.path("cert.pem")).arg(site.path("key.pem"));
        let program = Program::start(command.args(addresses.map(|a| a.to_string())), &folder.join("log"))?;
        Running::new(shape, vec![program], if shape == Shape::Plain { plain } else { tls })
    }
}
