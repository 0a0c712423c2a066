"""Where the collection is hosted, and the addresses that launch a lesson there, without outputs."""

import posixpath
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from .paths import FOLDER, LessonError


@dataclass(frozen=True)
class Hosting:
    """Where the collection is hosted. Buttons and links that need an address appear only if it is given.

    Args:
        repository: address of the public repository, such as ``https://github.com/owner/name``.
        address: where the site will be, such as ``https://owner.github.io/name``.
        jupyterhub: a JupyterHub with nbgitpuller, such as ``https://hub.example.org``.
        branch: the branch that holds the lessons.

    Raises:
        LessonError: an address that is none.
    """

    repository: str = ""
    address: str = ""
    jupyterhub: str = ""
    branch: str = "main"

    def __post_init__(self):
        for name in ("repository", "address", "jupyterhub"):
            text = getattr(self, name)
            parts = urlsplit(text)
            if text and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment):
                raise LessonError(f"{name}: {text!r} is not an address; wanted something like https://example.org/name")
            object.__setattr__(self, name, text.rstrip("/").removesuffix(".git"))
        if self.repository and len(self._path.split("/")) != 2:
            raise LessonError(f"repository: {self.repository!r} has no owner and name, as in https://host/owner/name")

    @property
    def _path(self) -> str:
        """Owner and name of the repository."""
        return urlsplit(self.repository).path.strip("/")

    def launches(self, name: str) -> list[tuple[str, str]]:
        """Label and address of each service that can run a lesson: none without a repository."""
        if not self.repository:
            return []
        host, path = urlsplit(self.repository).netloc, self._path
        services = []
        if host in ("github.com", "gitlab.com"):  # postBuild has put the lessons there
            project = f"gh/{path}" if host == "github.com" else f"gl/{quote(path, safe='')}"
            opened = quote(f"lab/tree/my_lessons/{name}.ipynb", safe="")
            services.append(("Binder", f"https://mybinder.org/v2/{project}/{self.branch}?urlpath={opened}"))
        if host == "github.com":  # the branch that holds this site: its notebooks fetch the helpers
            colab = "https://colab.research.google.com/github"
            services.append(("Colab", f"{colab}/{path}/blob/gh-pages/downloads/{name}.ipynb"))
        if self.jupyterhub:
            opened = quote(f"lab/tree/{path.split('/')[1]}/notebooks/{name}.ipynb", safe="")
            pulled = f"repo={quote(self.repository, safe='')}&branch={quote(self.branch)}&urlpath={opened}"
            services.append(("JupyterHub", f"{self.jupyterhub}/hub/user-redirect/git-pull?{pulled}"))
        return services

    def link(self, target: str) -> str:
        """Where a lesson's link leads somebody who has that notebook alone, in Colab, say; empty if that is not known.

        Lessons are pages of the site, and everything else is a file of the repository.
        """
        file, *anchor = re.split(r"(?=[#?])", target, maxsplit=1)
        if not file or not (FOLDER / file).is_file():
            return target
        if self.address and "/" not in file and file.endswith(".ipynb"):
            return f"{self.address}/{file.removesuffix('.ipynb')}.html{''.join(anchor)}"
        path = posixpath.normpath(f"notebooks/{file}")
        return f"{self.repository}/blob/{self.branch}/{path}{''.join(anchor)}" if self.repository else ""
