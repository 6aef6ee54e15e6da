"""The page at /, in Chromium: what it shows, saves and links is what the voice says. Its microphone is a file."""

import json
import shutil

import numpy as np
import pytest

from tts import audio
from tts.voice import SpeakOptions

playwright = pytest.importorskip("playwright.sync_api", reason='no playwright: pip install ".[dev]"')
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get install chromium"),
]
LONG = "1 2 3 4 5 6 7 8 9 0 " * 40


@pytest.fixture(scope="module")
def spoken(voice):
    return voice.speak("4 7 2", speaker="jackson", seed=3)


@pytest.fixture(scope="module")
def browser(tmp_path_factory, spoken):
    """Its microphone plays 4 7 2 again and again, with a second of silence before each."""
    microphone = tmp_path_factory.mktemp("microphone") / "472.wav"
    silence = np.zeros(4000, np.float32)
    audio.write(microphone, np.concatenate([silence, spoken.samples, silence]), spoken.sample_rate)
    flags = [
        "--no-sandbox",  # which Chromium does not have for root
        "--disable-gpu",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a server's page in a fresh profile; in the end, it asked no other address and its scripts had no error."""
    contexts, errors, addresses = [], [], []

    def open_page(server, link="", **options):
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: addresses.append((request.url, server.url)))
        page.goto(f"{server.url}/{link}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors
    assert all(url.startswith((f"{own}/", "blob:", "data:")) for url, own in addresses), addresses


def speak(page, **fields):
    for name, value in fields.items():
        control = page.locator(f"#{name}")
        control.select_option(value) if name.startswith(("speaker", "read")) else control.fill(str(value))
    page.click("#go")
    page.wait_for_selector(".take[data-state=done]")


def downloaded(page, take=0):
    with page.expect_download() as download:
        page.locator(".download").nth(take).click()
    return download.value.path().read_bytes()


def as_wav(spoken):
    return audio.to_bytes(spoken.samples, spoken.sample_rate)


def test_downloads_what_the_voice_says(served, open_page, spoken):
    page = open_page(served)
    speak(page, text="472", speaker="jackson", seed=3)
    assert downloaded(page) == as_wav(spoken)


def test_shows_where_the_pointer_stood_and_stopped(served, open_page, spoken):
    page = open_page(served)
    speak(page, text="4 7 2", speaker="jackson", seed=3)
    page.click("summary")
    rows = page.locator(".take tbody tr").evaluate_all("rows => rows.map(row => [...row.cells].map(c => c.innerText))")
    assert [row[:2] for row in rows] == [[spoken.words[one.word], one.unit] for one in spoken.segments]
    assert [float(row[3]) for row in rows] == pytest.approx([one.end / 8000 for one in spoken.segments], abs=5e-4)
    assert "13 units, ended by the stop bit" in page.inner_text(".facts")
    assert "13 units" in page.get_attribute(".take canvas", "aria-label")
    colors = page.locator(".take canvas").evaluate(
        "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
    )
    assert colors > 100  # the spectrogram


def test_plays_while_it_is_made_and_stops(served, open_page):
    page = open_page(served)
    page.fill("#text", LONG)
    page.click("#go")
    page.wait_for_selector(".take[data-played]:not([data-played='0.00'])")
    assert page.get_attribute(".take", "data-state") == "making"
    page.click("#stop")
    page.wait_for_selector(".take[data-state=stopped]")
    assert page.inner_text("#status") == "Stopped."
    page.wait_for_selector(".playhead", state="hidden")


def test_a_link_holds_all_settings(served, open_page, voice):
    settings = {"temperature": 0.8, "speed": 1.25, "read": "phone"}
    first = open_page(served)
    speak(first, text="9, 1\n5", speaker="theo", seed=2**53 - 1, **settings)
    second = open_page(served, first.evaluate("location.hash"))
    speak(second)
    spoken = voice.speak("9, 1 5", speaker="theo", seed=2**53 - 1, options=SpeakOptions(**settings))
    assert downloaded(first) == downloaded(second) == as_wav(spoken)
    first.fill("#text", "#&+%= \u00e9")
    third = open_page(served, first.evaluate("location.hash"))
    third.wait_for_selector("#go:enabled")
    assert third.input_value("#text") == "#&+%= \u00e9"


def test_compares_speakers_and_seeds(served, open_page, voice):
    page = open_page(served)
    page.check("#compare")
    speak(page, text="8 1", speaker="lucas", seed=4, speaker2="nicolas", seed2=5)
    page.wait_for_selector(".take:nth-child(2)[data-state=done]")
    assert downloaded(page, 0) == as_wav(voice.speak("8 1", speaker="lucas", seed=4))
    assert downloaded(page, 1) == as_wav(voice.speak("8 1", speaker="nicolas", seed=5))


def test_recognizes_the_microphone_and_says_it_back(served, open_page):
    page = open_page(served)
    page.click("#record:enabled")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_timeout(6000)
    page.click("#record")
    page.wait_for_selector("#recognized:visible")
    text = page.inner_text("#recorder-status").removeprefix("Recognized: ").removesuffix(".")
    assert "4 7 2" in text
    scores = page.locator("#digits tr td:nth-child(2)").all_inner_texts()
    assert len(scores) >= len(text.split()) and all(0 <= float(score) <= 1 for score in scores)
    page.click("#repeat")
    page.wait_for_selector(".take[data-state=done]")
    assert page.input_value("#text") == text


def test_a_double_click_starts_one_recording(served, open_page):
    page = open_page(served)
    page.evaluate(
        """() => {
            window.streams = [];
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wanted) => {
                const stream = await ask(wanted);
                window.streams.push(stream);
                return stream;
            };
        }"""
    )
    page.wait_for_selector("#record:enabled")
    page.evaluate("() => { record.click(); record.click(); }")
    page.wait_for_selector("#record[aria-pressed=true]:enabled")
    page.wait_for_timeout(500)
    assert page.evaluate("streams.length") == 1
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=false]")
    page.wait_for_function(
        "streams.every((stream) => stream.getTracks().every((track) => track.readyState === 'ended'))"
    )


def test_recognizes_a_file(served, open_page, spoken):
    page = open_page(served)
    page.wait_for_selector("#go:enabled")
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": as_wav(spoken)})
    page.wait_for_selector("#recognized:visible")
    assert page.inner_text("#recorder-status") == "Recognized: 4 7 2."
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no sound"})
    page.wait_for_selector("#error:visible")
    assert "is no audio" in page.inner_text("#error")


def test_says_what_is_wrong(served, open_page):
    page = open_page(served)
    page.wait_for_selector("#go:enabled")

    def error(field, value):
        page.fill(field, value)
        page.click("#go")
        page.wait_for_selector(f"{field}[aria-invalid=true]:focus")
        return page.inner_text("#error")

    assert "banana" in error("#text", "banana")
    page.fill("#text", "1")
    assert "less than or equal to 4" in error("#speed", "9")
    page.fill("#speed", "1")
    assert error("#seed", "") == "seed: type a number."
    page.fill("#seed", "0")
    page.context.set_offline(True)
    page.click("#go")
    page.wait_for_selector("#error:has-text('does not answer')")
    page.context.set_offline(False)
    page.click("#go")
    page.wait_for_selector(".take[data-state=done]")
    assert page.is_hidden("#error")


def test_asks_for_the_key(start, open_page):
    page = open_page(start(key="secret"))
    page.wait_for_selector("#access:visible")
    assert "API key" in page.inner_text("#error")
    page.press("#text", "Enter")  # before the page knows the voice
    assert page.is_visible("#access") and "API key" in page.inner_text("#error")
    page.fill("#key", "secret")
    page.keyboard.press("Enter")
    speak(page)
    assert "secret" not in page.url


def test_keyboard_and_screen_reader(served, open_page):
    page = open_page(served)
    page.wait_for_selector("#go:enabled")
    names = "controls => controls.map(c => c.labels?.[0]?.innerText.trim() || c.ariaLabel || c.innerText.trim())"
    assert all(page.locator("main :is(input, select, textarea, button):visible").evaluate_all(names))
    wanted = ["text", "speaker", "seed", "random", "temperature", "speed", "read", "compare", "go", "copy", "record"]
    for name in wanted:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == name
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.focus("#text")
    page.keyboard.press("Control+A")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    page.wait_for_selector(".take[data-state=done]")
    assert page.get_attribute("#status", "role") == "status" and "1 words" not in page.inner_text("#status")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_s_width_dark_and_light(served, open_page, scheme):
    page = open_page(served, viewport={"width": 320, "height": 700}, color_scheme=scheme)
    page.wait_for_selector("#go:enabled")
    page.check("#compare")
    speak(page, text="4 7 2")
    assert page.evaluate("document.scrollingElement.scrollWidth") == 320
    colors = "e => [getComputedStyle(e).color, getComputedStyle(document.querySelector('.card')).backgroundColor]"
    for selector in ("h2", ".help", "#status"):
        text, behind = map(luminance, page.locator(selector).first.evaluate(colors))
        assert (max(text, behind) + 0.05) / (min(text, behind) + 0.05) >= 4.5
        assert (text > behind) == (scheme == "dark")


def luminance(color):
    """WCAG's, of "rgb(r, g, b)"."""
    parts = [int(part) / 255 for part in color[4:-1].split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_spectrum(served, open_page):
    page = open_page(served)
    wave = np.random.default_rng(0).normal(size=256)
    found = page.evaluate(
        f"import('/plots.js').then(m => [...m.spectrum(Float64Array.from({json.dumps(wave.tolist())}))])"
    )
    np.testing.assert_allclose(found, np.abs(np.fft.rfft(wave)) ** 2, rtol=1e-9, atol=1e-9)
