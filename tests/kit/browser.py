"""A real Chromium, and the dashboard in it as somebody uses it: by what stands on the page, with keys and clicks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    InvalidElementStateException,
    NoAlertPresentException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.kit.api import PASSWORD
from tests.kit.processes import wait_until

_OPTIONS = (
    "headless=new no-sandbox disable-dev-shm-usage disable-gpu disable-software-rasterizer disable-extensions "
    "disable-quic no-first-run disable-sync disable-background-networking disable-component-update"
)
#: How often a page is looked at: looking costs the browser time that it needs for drawing.
_LOOK_EVERY_S = 0.1


@contextmanager
def chromium() -> Iterator[webdriver.Chrome | None]:
    """Give a browser, gone at the end of the block; None where the machine has none."""
    programs = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not all(programs):
        yield None
        return
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for word in _OPTIONS.split():
        options.add_argument(f"--{word}")
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    try:
        yield driver
    finally:
        driver.quit()


class Dashboard:
    """One person's browser at one api."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address.rstrip("/")
        self._go("/login")
        driver.delete_all_cookies()

    def enter(self, name: str) -> None:
        """Log in through the form."""
        self._go("/login")
        self.wait_for(lambda: self.driver.find_elements(By.NAME, "name"), "the form")
        self.fill(name=name, password=PASSWORD)
        self.press("Log in")
        self.wait_for(lambda: "/overview" in self.driver.current_url, "the overview")
        self.drawn("overview")

    def open(self, page: str) -> str:
        """Open a page and wait until it is drawn; give what it says went wrong."""
        self._go(f"/{page}")
        self.drawn(page)
        return self.text("notice")

    def drawn(self, page: str) -> None:
        """Wait until the page is drawn."""
        script = (
            "return document.body.dataset.page === arguments[0] && "
            "document.querySelector('#content')?.getAttribute('aria-busy') === 'false'"
        )
        name = page.partition("?")[0]
        self.wait_for(lambda: self.driver.execute_script(script, name), f"{page} to be drawn")

    def text(self, element: str = "content") -> str:
        """What can be read in one part of the page."""
        return str(self.driver.find_element(By.ID, element).text)

    def read(self, text: str, element: str = "content") -> None:
        """Wait until some text can be read."""
        try:
            self.wait_for(lambda: text in self.text(element), repr(text))
        except AssertionError as e:
            raise AssertionError(f"{e}; there is {self.text(element)[:2000]!r}, {self.text('notice')!r}") from e

    def fill(self, **values: str) -> None:
        """Write into fields, or choose in lists, by their names."""
        for name, value in values.items():
            self.wait_for(lambda name=name, value=value: self._filled(name, value), f"a field {name!r} to write into")

    def _filled(self, name: str, value: str) -> bool:
        """Try once; the page may be drawn anew meanwhile."""
        try:
            field = self.driver.find_element(By.NAME, name)
            if field.tag_name == "select":
                Select(field).select_by_visible_text(value)
            elif field.get_attribute("type") == "date":
                self.driver.execute_script("arguments[0].value = arguments[1]", field, value)
            else:
                field.clear()
                field.send_keys(value)
        except (InvalidElementStateException, NoSuchElementException):
            return False
        return True

    def press(self, text: str, *, beside: str = "", confirm: bool = False) -> None:
        """Press the button that says so, in the row that holds a text; the page may be drawn anew meanwhile."""

        def pressed() -> bool:
            row = f"//tr[contains(., '{beside}')]" if beside else ""
            found = self.driver.find_elements(By.XPATH, f"{row}//*[self::button or self::summary][.='{text}']")
            try:
                if not found or not found[0].is_displayed():
                    return False
                self.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", found[0])
                found[0].click()
            except (StaleElementReferenceException, ElementClickInterceptedException, ElementNotInteractableException):
                return False
            return True

        self.wait_for(pressed, f"a button {text!r} {beside and 'beside ' + beside}")
        if confirm:
            self.wait_for(self._accepted, "the question")

    def _accepted(self) -> bool:
        with suppress(NoAlertPresentException):
            self.driver.switch_to.alert.accept()
            return True
        return False

    def asked(self, method: str, path: str, body: str = "null") -> int:
        """Ask the api what the page itself could, with the session's cookie and CSRF token; give the status."""
        script = (
            "const [method, path, body, done] = arguments; fetch('/api/session').then((each) => each.json())"
            ".then((session) => fetch(path, { method, body: body === 'null' ? null : body, headers: "
            "{ 'content-type': 'application/json', 'x-csrf-token': session.csrf_token } }))"
            ".then((answer) => done(answer.status))"
        )
        return int(self.driver.execute_async_script(script, method, path, body))

    def buttons(self) -> list[str]:
        """What the page offers to do."""
        script = "return [...document.querySelectorAll('#content button')].map((each) => each.innerText)"
        return list(self.driver.execute_script(script))  # at one instant: the page may be drawn anew

    def look(self, scheme: str) -> None:
        """Prefer light, or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def wait_for(self, condition: Any, what: str) -> Any:
        """Wait until something holds of the page."""

        def held() -> Any:
            try:
                return condition()
            except StaleElementReferenceException:
                return None

        return wait_until(held, what, every_s=_LOOK_EVERY_S)

    def _go(self, path: str) -> None:
        self.driver.get(self.address + path)
