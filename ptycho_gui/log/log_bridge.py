"""`LogBridge`: what is logged, from any thread, as a signal for the log panel; and the log file behind it."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, QtMsgType, Signal, qInstallMessageHandler

FILE = "ptycho-gui.log"
CRASHES = "crashes.txt"
"""Where each thread was when the program crashed outside of Python."""

_OURS = ("ptycho_core", "ptycho_gui")
_FILE_BYTES, _FILES_BEFORE = 2**20, 3
_QT_LEVELS = {
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogEntry:
    """A record of the log, made into text in the thread that logged it.

    Parameters
    ----------
    time
        Seconds since 1970.
    level
        Of Python's `logging`.
    source
        The logger's name.
    text
        One line, or more with a traceback.
    """

    time: float
    level: int
    source: str
    text: str


class _Emitter(QObject):
    logged = Signal(object)
    """`LogEntry`."""


class LogBridge(logging.Handler):
    """A handler that owns an object with the signal ``logged``, since it cannot be a QObject itself."""

    def __init__(self) -> None:
        super().__init__()
        self.emitter = _Emitter()
        self._undo = ExitStack()

    def emit(self, record: logging.LogRecord) -> None:
        """Logging: from any thread."""
        entry = LogEntry(record.created, record.levelno, record.name, self.format(record).rstrip())
        self.emitter.logged.emit(entry)

    def stop(self) -> None:
        """Undo what `start_logging` did."""
        self._undo.close()

    def _install(self, handler: logging.Handler) -> None:
        root = logging.getLogger()
        root.addHandler(handler)
        self._undo.callback(handler.close)
        self._undo.callback(root.removeHandler, handler)

    def _start(self, folder: Path) -> None:
        self._install(self)
        for logger in map(logging.getLogger, _OURS):
            self._undo.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.DEBUG)
        self._catch_warnings()
        self._catch_exceptions()
        self._undo.callback(qInstallMessageHandler, qInstallMessageHandler(_log_qt))
        try:
            self._keep_in(folder)
        except OSError as error:
            _log.warning("nothing of this log is kept in %s: %s", folder, error.strerror)

    def _catch_warnings(self) -> None:
        seen: set[str] = set()

        def once(record: logging.LogRecord) -> bool:
            known = record.getMessage() in seen
            seen.add(record.getMessage())
            return not known

        logging.captureWarnings(True)
        self._undo.callback(logging.captureWarnings, False)
        logger = logging.getLogger("py.warnings")
        logger.addFilter(once)
        self._undo.callback(logger.removeFilter, once)

    def _catch_exceptions(self) -> None:
        before, before_in_threads = sys.excepthook, threading.excepthook

        def log(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
            if issubclass(kind, Exception):
                _log.critical("internal error: %s: %s", kind.__name__, error, exc_info=(kind, error, where))
            before(kind, error, where)

        def log_in_thread(told: threading.ExceptHookArgs) -> None:
            if told.exc_value is not None:
                log(told.exc_type, told.exc_value, told.exc_traceback)

        sys.excepthook, threading.excepthook = log, log_in_thread
        self._undo.callback(setattr, sys, "excepthook", before)
        self._undo.callback(setattr, threading, "excepthook", before_in_threads)

    def _keep_in(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = RotatingFileHandler(folder / FILE, maxBytes=_FILE_BYTES, backupCount=_FILES_BEFORE, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
        self._install(file)
        crashes = self._undo.enter_context(open(folder / CRASHES, "a", encoding="utf-8"))  # noqa: SIM115
        self._undo.callback(faulthandler.enable if faulthandler.is_enabled() else faulthandler.disable)
        faulthandler.enable(crashes)


def start_logging(folder: Path) -> LogBridge:
    """Log what the program and its libraries tell, warnings and unexpected errors too, until the bridge is stopped.

    Parameters
    ----------
    folder
        For the log file, which is renewed when it is large. If it cannot be written, the log says so.
    """
    bridge = LogBridge()
    bridge._start(folder)
    return bridge


def _log_qt(kind: QtMsgType, context: object, message: str) -> None:
    logging.getLogger("qt").log(_QT_LEVELS.get(kind, logging.DEBUG), "%s", message)
