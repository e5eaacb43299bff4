// Makes pages nicer that already work without it: relative times that stay true, copy buttons, keyboard shortcuts,
// forms that are sent once, a hint when new events came, and a bulk retry whose progress moves. All texts come from the page.

const announcer = document.getElementById('announce');

const announce = (text) => {
  if (announcer) announcer.textContent = text;
};

function refreshTimes() {
  const units = [
    ['year', 31_536_000],
    ['month', 2_592_000],
    ['week', 604_800],
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
    ['second', 1],
  ];
  const format = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: 'auto' });
  const update = () => {
    for (const time of document.querySelectorAll('time[data-relative]')) {
      const seconds = (new Date(time.dateTime).getTime() - Date.now()) / 1000;
      const [unit, length] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1];
      const text = format.format(Math.trunc(seconds / length) || 0, unit);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(update, 15_000);
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  announce(announcer?.dataset.copied ?? '');
}

function offerCopying() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll('button[data-copy], button[data-copy-from]')) {
    // The last piece of text: an icon before it stays.
    const label = button.querySelector('[data-label]') ?? button.lastChild;
    const before = label.textContent;
    button.hidden = false;
    button.addEventListener('click', async () => {
      const source = document.getElementById(button.dataset.copyFrom ?? '');
      await copy(button.dataset.copy ?? source?.textContent ?? '');
      label.textContent = announcer?.dataset.copied ?? before;
      setTimeout(() => (label.textContent = before), 2_000);
    });
  }
}

function offerToShowPasswords() {
  for (const button of document.querySelectorAll('button[data-reveal]')) {
    const input = document.getElementById(button.dataset.reveal);
    if (!input) continue;
    button.hidden = false;
    button.addEventListener('click', () => {
      const shown = input.type === 'password';
      input.type = shown ? 'text' : 'password';
      button.setAttribute('aria-pressed', String(shown));
    });
  }
}

/** A second click on "Retry" must not send it twice. The back button brings the form back to life. */
function sendOnce() {
  const locked = new Set();
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (form.method !== 'post') return;
    if (locked.has(form)) {
      event.preventDefault();
      return;
    }
    locked.add(form);
    event.submitter?.setAttribute('aria-busy', 'true');
  });
  window.addEventListener('pageshow', () => {
    locked.clear();
    for (const busy of document.querySelectorAll('[aria-busy]')) busy.removeAttribute('aria-busy');
  });
}

function closeMenusFromOutside() {
  const openMenus = () => document.querySelectorAll('details.menu[open]');
  document.addEventListener('click', (event) => {
    for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    for (const menu of openMenus()) {
      if (menu.contains(document.activeElement)) menu.querySelector('summary').focus();
      menu.open = false;
    }
  });
}

function watchForNewEvents() {
  const hint = document.querySelector('[data-live-hint]');
  if (document.body.dataset.live !== 'events' || !hint) return;
  const { total, last, one, other, some } = hint.dataset;
  const label = hint.querySelector('[data-label]') ?? hint;
  const plural = new Intl.PluralRules(document.documentElement.lang);
  let wait = 5_000;
  let answer = '';

  const look = async () => {
    if (!document.hidden) {
      try {
        const response = await fetch('/api/webhook-events/stats', {
          headers: { Accept: 'application/json' },
        });
        if (response.status === 401) return;
        if (!response.ok) throw new Error(`status ${response.status}`);
        const stats = await response.json();
        wait = 5_000;
        const fresh = stats.total - Number(total);
        const moved = stats.lastReceived !== null && Date.parse(stats.lastReceived) > (Date.parse(last) || 0);
        if (fresh > 0 || moved) {
          const template =
            fresh > 0 && !some ? (plural.select(fresh) === 'one' ? one : other) : some || other;
          const text = template.replace(
            '{n}',
            new Intl.NumberFormat(document.documentElement.lang).format(fresh),
          );
          label.textContent = text;
          if (hint.hidden) announce(text);
          hint.hidden = false;
          answer = text;
        }
      } catch {
        wait = Math.min(wait * 2, 60_000);
      }
    }
    setTimeout(look, answer ? Math.max(wait, 10_000) : wait);
  };
  setTimeout(look, wait);
}

function watchBulkRetry() {
  const box = document.querySelector('[data-bulk-retry]');
  if (!box) return;
  const bar = box.querySelector('progress');
  const label = box.querySelector('[data-label]');
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const refresh = document.querySelector('[data-refresh]');
  if (refresh) refresh.hidden = true;
  let wait = 2_000;

  const look = async () => {
    if (!document.hidden) {
      try {
        const response = await fetch(box.dataset.bulkRetry, { headers: { Accept: 'application/json' } });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const { status, queued } = await response.json();
        if (status !== 'running') {
          location.reload();
          return;
        }
        wait = 2_000;
        bar.value = queued;
        label.textContent = box.dataset.text.replace('{n}', number.format(queued));
      } catch {
        wait = Math.min(wait * 2, 60_000);
      }
    }
    setTimeout(look, wait);
  };
  setTimeout(look, wait);
}

/** Off switch included: WCAG 2.1.4 asks for one wherever single letters do something. */
function listenToKeys() {
  const dialog = document.getElementById('keys');
  if (!dialog) return;
  const OFF = 'keys-off';
  const stored = () => {
    try {
      return window.localStorage.getItem(OFF) === '1';
    } catch {
      return false;
    }
  };
  let off = stored();
  const toggle = dialog.querySelector('[data-keys-toggle]');
  toggle.checked = !off;
  toggle.addEventListener('change', () => {
    off = !toggle.checked;
    try {
      window.localStorage.setItem(OFF, off ? '1' : '0');
    } catch {
      // Private windows may refuse storage: the choice then lasts for this page.
    }
  });
  for (const opener of document.querySelectorAll('[data-open="keys"]')) {
    opener.hidden = false;
    opener.addEventListener('click', () => dialog.showModal());
  }

  const links = () => [...document.querySelectorAll('[data-row]')];
  const move = (step) => {
    const all = links();
    if (all.length === 0) return;
    const at = all.indexOf(document.activeElement);
    const next =
      at === -1 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    all[next].focus();
    all[next].scrollIntoView({ block: 'nearest' });
  };
  const actions = {
    '/': () => document.querySelector('[data-search]')?.focus(),
    j: () => move(1),
    k: () => move(-1),
    r: () => document.querySelector('[data-key="r"]:enabled')?.click(),
    c: () => {
      const id =
        document.activeElement?.dataset.id ?? document.querySelector('[data-page-id]')?.dataset.pageId;
      if (id && navigator.clipboard) void copy(id);
    },
    '?': () => dialog.showModal(),
  };
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && document.activeElement?.matches('[data-search], [data-row]')) {
      document.activeElement.blur();
      return;
    }
    if (off || dialog.open || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey)
      return;
    if (event.isComposing || event.target.closest('input, textarea, select, [contenteditable]')) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

refreshTimes();
offerCopying();
offerToShowPasswords();
sendOnce();
closeMenusFromOutside();
watchForNewEvents();
watchBulkRetry();
listenToKeys();
