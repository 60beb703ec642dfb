"""A real MediaWiki on the loopback: Debian's, on SQLite, behind PHP's own web server."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

CODE = Path("/usr/share/mediawiki")
NEEDED = (
    "apt-get install --no-install-recommends mediawiki php-cli php-sqlite3 php-intl php-gd "
    "librsvg2-bin"
)
"""What installs all that the wiki needs, on Debian 12."""

_SETTINGS = """
$wgArticlePath = '/wiki/$1';
$wgEnableUploads = true;
$wgUploadDirectory = '{folder}/images';
$wgUploadPath = '/images';
$wgFileExtensions[] = 'svg';
$wgFileExtensions[] = 'pdf';
$wgUseImageMagick = false;
$wgSVGConverter = 'rsvg';
$wgAllowTitlesInSVG = true;
$wgAPIMaxResultSize = 8192;
$wgJobRunRate = 0;
$wgMaxShellMemory = 0;
$wgMaxShellFileSize = 0;
// What the extension CommonsMetadata reads from a file's page, here for names with "Told".
$wgHooks['GetExtendedMetadata'][] = static function ( &$metadata, $file ) {
    if ( str_contains( $file->getName(), 'Told' ) ) {
        foreach ( {told} as $name => $value ) {
            $metadata[$name] = [ 'value' => $value, 'source' => 'commons-desc-page' ];
        }
    }
};
"""

TOLD = {
    "LicenseShortName": "CC BY-SA 4.0",
    "Artist": 'A. Painter<span style="display: none;">creator QS:P170,Q1</span>',
    "ImageDescription": "<p>A tower</p><p>at night<br>in rain</p>",
}
"""Extended metadata of files with "Told" in their names."""

# What is not a script is a file of the wiki, or a page of it.
_ROUTER = """<?php
$path = rawurldecode( parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH ) );
if ( str_starts_with( $path, '/images/' ) ) {
    $file = '{folder}' . $path;
    if ( !is_file( $file ) || str_contains( $path, '/../' ) ) {
        http_response_code( 404 );
        return true;
    }
    header( 'Content-Type: ' . mime_content_type( $file ) );
    $changed = gmdate( 'D, d M Y H:i:s', filemtime( $file ) ) . ' GMT';
    header( 'Last-Modified: ' . $changed );
    if ( ( $_SERVER['HTTP_IF_MODIFIED_SINCE'] ?? '' ) === $changed ) {
        http_response_code( 304 );
        return true;
    }
    readfile( $file );
    return true;
}
if ( $path === '/robots.txt' ) {
    header( 'Content-Type: text/plain' );
    echo "User-agent: *\\nDisallow: /api.php\\nDisallow: /index.php\\n";
    return true;
}
if ( $path === '/api.php' ) {
    require '{code}/api.php';
    return true;
}
$_GET['title'] = $_REQUEST['title'] = substr( $path, strlen( '/wiki/' ) ) ?: 'Main Page';
require '{code}/index.php';
"""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file to upload; ``older`` are its earlier versions, the oldest first."""

    body: bytes
    text: str = ""
    older: Sequence[bytes] = ()


@dataclass(frozen=True)
class Content:
    """What a wiki is filled with: files by name, and wikitext by title."""

    files: Mapping[str, Upload] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)


def is_installed() -> bool:
    """Return whether all that the wiki needs is on this machine."""
    if not (CODE / "maintenance").is_dir() or not all(map(shutil.which, ("php", "rsvg-convert"))):
        return False
    found = subprocess.run(["php", "-m"], capture_output=True, text=True, check=True).stdout
    return {"gd", "intl", "mbstring", "pdo_sqlite", "xml"} <= set(found.split())


class RealWiki:
    """A MediaWiki in a folder of its own.

    Args:
        folder: Empty folder for its database and files.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self._address = f"127.0.0.1:{taken.getsockname()[1]}"
        self.url = f"http://{self._address}"
        self.api = f"{self.url}/api.php"
        self._folder = folder
        (folder / "images").mkdir(parents=True)
        self._maintain(
            "install", "--dbtype=sqlite", f"--dbpath={folder}", f"--confpath={folder}",
            f"--server={self.url}", "--scriptpath=", "--pass=on-the-loopback", "Drawings", "Admin",
        )  # fmt: skip
        with self._settings.open("a", encoding="utf-8") as settings:
            settings.write(_filled(_SETTINGS, folder))

    @property
    def version(self) -> str:
        """MediaWiki's version."""
        text = (CODE / "includes" / "Defines.php").read_text(encoding="utf-8")
        found = re.search(r"'MW_VERSION', '([\d.]+)'", text)
        return found[1] if found else ""

    def fill(self, content: Content) -> None:
        """Upload files, the oldest versions first, and write pages."""
        versions = max((len(each.older) for each in content.files.values()), default=0) + 1
        for at in range(versions):
            folder = self._folder / f"upload-{at}"
            folder.mkdir(exist_ok=True)
            for name, file in content.files.items():
                bodies = (*file.older, file.body)
                if at < len(bodies):
                    (folder / name).write_bytes(bodies[at])
                    (folder / f"{Path(name).stem}.txt").write_text(file.text, encoding="utf-8")
            self._maintain("importImages", "--comment-ext=txt", "--overwrite", folder)
            # An older version is stored under the second in which it was replaced.
            time.sleep(1.1)
        pages = self._folder / "pages"
        pages.mkdir(exist_ok=True)
        for at, (title, text) in enumerate(content.pages.items()):
            place = pages / str(at) / f"{title}.txt"
            place.parent.mkdir()
            place.write_text(text, encoding="utf-8")
        paths = [pages / str(at) / f"{title}.txt" for at, title in enumerate(content.pages)]
        self._maintain("importTextFiles", "--overwrite", *paths)
        shutil.rmtree(pages)
        self._maintain("runJobs")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer requests."""
        router = self._folder / "router.php"
        router.write_text(_filled(_ROUTER, self._folder), encoding="utf-8")
        with (self._folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [
                    "php",
                    "-d",
                    "opcache.enable_cli=1",
                    "-S",
                    self._address,
                    "-t",
                    self._folder,
                    router,
                ],
                env={**self._environment, "PHP_CLI_SERVER_WORKERS": "2"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                self._wait_for(server)
                yield
            finally:
                # Its workers are of its group.
                os.killpg(server.pid, 15)
                server.wait(timeout=30)

    def _wait_for(self, server: subprocess.Popen[bytes]) -> None:
        for _ in range(200):
            assert server.poll() is None, (self._folder / "server.log").read_text()
            try:
                answer = requests.get(
                    f"{self.api}?action=query&meta=siteinfo&format=json", timeout=30
                )
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                assert "query" in answer.json(), answer.text
                return
        raise AssertionError("the wiki does not answer")

    @property
    def _settings(self) -> Path:
        return self._folder / "LocalSettings.php"

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "MW_CONFIG_FILE": str(self._settings)}

    def _maintain(self, script: str, *arguments: str | Path) -> None:
        environment = dict(os.environ) if script == "install" else self._environment
        done = subprocess.run(
            ["php", CODE / "maintenance" / f"{script}.php", *arguments],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def _filled(text: str, folder: Path) -> str:
    told = "[" + ", ".join(f"'{name}' => '{value}'" for name, value in TOLD.items()) + "]"
    filled = text.replace("{folder}", str(folder)).replace("{code}", str(CODE))
    return filled.replace("{told}", told)
