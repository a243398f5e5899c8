// What pages are made of: buttons that wait, fields with labels, dialogs, tables, masked values.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Failure } from './api';
import { notify, type Loaded } from './session';

const ICONS: { [name: string]: string } = {
  key: 'M15 7a4 4 0 1 1-3.5 5.9L9 15.5V18H6.5v2.5H3V17l6.1-6.1A4 4 0 0 1 15 7Z',
  map: 'M12 4v5m0 0-6 6m6-6 6 6M12 4a2 2 0 1 0 0-.01M5 18a2 2 0 1 0 0-.01M19 18a2 2 0 1 0 0-.01',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  open: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 6.7-1.4',
  book: 'M5 4h11a3 3 0 0 1 3 3v13H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h11',
  plug: 'M9 3v5m6-5v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4',
  people: 'M9 11a3.5 3.5 0 1 0 0-.01M2.500 20a6.500 6.500 0 0 1 13 0M16 4.500a3.500 3.500 0 0 1 0 6.600M18 14.500a6.500 6.500 0 0 1 3.500 5.500',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5l3.500 2',
  ticket: 'M3 8h18v3a2 2 0 0 0 0 4v3H3v-3a2 2 0 0 0 0-4zM14 8v10',
  gift: 'M4 12h16v8H4zM3 8h18v4H3zM12 8v12M12 8S9 3 7 5s5 3 5 3 3-5 5-3-5 3-5 3',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2v3m0 14v3M2 12h3m14 0h3M5 5l2 2m10 10 2 2M5 19l2-2M17 7l2-2',
  moon: 'M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500Z',
  out: 'M14 4h5v16h-5M10 8l-4 4 4 4M6 12h10',
  menu: 'M4 7h16M4 12h16M4 17h16',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  eye: 'M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z',
  hidden: 'M4 4l16 16M9.500 5.900A9 9 0 0 1 12 5.500c6 0 9.500 6.500 9.500 6.500a17 17 0 0 1-3 3.700M6 7.500A17 17 0 0 0 2.500 12S6 18.500 12 18.500a9 9 0 0 0 4-.9',
  plus: 'M12 5v14M5 12h14',
  cross: 'M6 6l12 12M18 6 6 18',
  folder: 'M3 6h6l2 2.500h10V19H3z',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
  down: 'M12 4v11m0 0-4-4m4 4 4-4M5 20h14',
  right: 'M9 6l6 6-6 6',
};

export function Icon({ name }: { name: string }) {
  return <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d={ICONS[name] ?? ''} /></svg>;
}

export const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

interface ButtonProps {
  children: ComponentChildren;
  onClick?: () => unknown;
  kind?: 'main' | 'plain' | 'danger' | 'quiet';
  type?: 'button' | 'submit';
  disabled?: boolean;
  label?: string;
  icon?: string;
  pressed?: boolean;
}

/** A button; while what it began goes on it takes no second click. */
export function Button({ children, onClick, kind = 'plain', type = 'button', disabled, label, icon, pressed }: ButtonProps) {
  const [isBusy, setBusy] = useState(false);
  const isThere = useRef(true);
  useEffect(() => () => void (isThere.current = false), []);
  const click = async () => {
    if (!onClick) return;
    setBusy(true);
    try {
      await onClick();
    } catch (error) {
      notify(textOf(error), true);
    } finally {
      if (isThere.current) setBusy(false);
    }
  };
  return (
    <button type={type} class={`button ${kind}`} disabled={disabled || isBusy} aria-busy={isBusy} aria-label={label} title={label}
      aria-pressed={pressed} onClick={onClick ? () => void click() : undefined}>
      {icon && <Icon name={icon} />}{children}
    </button>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: string;
  type?: string;
  placeholder?: string;
  required?: boolean;
  rows?: number;
  mono?: boolean;
  autofocus?: boolean;
  autocomplete?: string;
  min?: number;
  max?: number;
}

export function Field(props: FieldProps) {
  const id = useId();
  const input = useRef<any>(null);
  useEffect(() => void (props.autofocus && input.current?.focus()), []);
  const shared = {
    id, ref: input, value: props.value, required: props.required, placeholder: props.placeholder,
    spellcheck: false, autocomplete: props.autocomplete ?? 'off', autocapitalize: 'off' as const,
    'aria-describedby': props.hint ? `${id}-hint` : undefined,
    class: props.mono ? 'mono' : '',
    onInput: (event: any) => props.onInput(event.currentTarget.value),
  };
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.rows
        ? <textarea {...shared} rows={props.rows} />
        : <input {...shared} type={props.type ?? 'text'} min={props.min} max={props.max} />}
      {props.hint && <p class="hint" id={`${id}-hint`}>{props.hint}</p>}
    </div>
  );
}

export function Choice({ label, value, options, onInput, hint }: {
  label: string; value: string; options: (string | [string, string])[]; onInput: (value: string) => void; hint?: string;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onInput={(event) => onInput(event.currentTarget.value)}>
        {options.map((option) => {
          const [key, text] = typeof option === 'string' ? [option, option] : option;
          return <option key={key} value={key}>{text}</option>;
        })}
      </select>
      {hint && <p class="hint">{hint}</p>}
    </div>
  );
}

export function Tick({ label, value, onInput, hint }: {
  label: string; value: boolean; onInput: (value: boolean) => void; hint?: string;
}) {
  return (
    <label class="tick">
      <input type="checkbox" checked={value} onInput={(event) => onInput(event.currentTarget.checked)} />
      <span>{label}{hint && <small>{hint}</small>}</span>
    </label>
  );
}

/** A form that says under itself why it was refused. */
export function Form({ onSubmit, children, action, kind = 'main', more }: {
  onSubmit: () => Promise<unknown> | unknown; children: ComponentChildren; action: string; kind?: 'main' | 'danger';
  more?: ComponentChildren;
}) {
  const [error, setError] = useState('');
  const [isBusy, setBusy] = useState(false);
  const isThere = useRef(true);
  useEffect(() => () => void (isThere.current = false), []);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      await onSubmit();
    } catch (refusal) {
      if (isThere.current) setError(textOf(refusal));
    } finally {
      if (isThere.current) setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} class="form">
      {children}
      {error && <p class="problem" role="alert">{error}</p>}
      <div class="actions">
        <button class={`button ${kind}`} type="submit" disabled={isBusy} aria-busy={isBusy}>{action}</button>
        {more}
      </div>
    </form>
  );
}

/** A dialog that holds the keyboard until it is closed. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const shown = dialog.current;
    const before = document.activeElement as HTMLElement | null;
    shown?.showModal();
    return () => {
      shown?.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onCancel={(event) => { event.preventDefault(); onClose(); }}>
      <header class="row">
        <h2 id={id}>{title}</h2>
        <Button kind="quiet" label="Close" icon="cross" onClick={onClose}>{null}</Button>
      </header>
      {children}
    </dialog>
  );
}

/** Asks before something that cannot be undone; `word` has to be typed if it is said. */
export function Confirm({ title, text, action, word, onDone, onClose }: {
  title: string; text: ComponentChildren; action: string; word?: string; onDone: () => Promise<unknown>; onClose: () => void;
}) {
  const [typed, setTyped] = useState('');
  const submit = async () => {
    if (word && typed !== word) throw new Error(`Type ${word} to go on.`);
    await onDone();
    onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <Form onSubmit={submit} action={action} kind="danger" more={<Button onClick={onClose}>Cancel</Button>}>
        <div class="prose">{text}</div>
        {word && <Field label={`Type ${word} to confirm`} value={typed} onInput={setTyped} mono autofocus />}
      </Form>
    </Dialog>
  );
}

export async function copyText(text: string, what = 'Copied'): Promise<void> {
  await navigator.clipboard.writeText(text).catch(() => copyByHand(text));
  notify(`${what}.`);
}
/** Browsers keep the clipboard from pages without TLS, but for this older way. */
function copyByHand(text: string): void {
  const area = document.createElement('textarea');
  area.value = text;
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const isDone = document.execCommand('copy');
  area.remove();
  if (!isDone) throw new Error('The browser does not let the page copy: mark the text and copy it yourself.');
}

export function Copy({ text, label }: { text: string; label: string }) {
  return <Button kind="quiet" icon="copy" label={label} onClick={() => copyText(text)}>{null}</Button>;
}

/** A text to take away, such as a command or a token. */
export function Take({ text, label, isSecret }: { text: string; label: string; isSecret?: boolean }) {
  const [isShown, show] = useState(!isSecret);
  return (
    <div class="take">
      <code tabIndex={0}>{isShown ? text : '•'.repeat(24)}</code>
      {isSecret && <Button kind="quiet" icon={isShown ? 'hidden' : 'eye'} label={isShown ? `Hide ${label}` : `Show ${label}`}
        onClick={() => show(!isShown)}>{null}</Button>}
      <Copy text={text} label={`Copy ${label}`} />
    </div>
  );
}

export function download(name: string, text: string): void {
  const link = document.createElement('a');
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function Badge({ children, tone = 'plain' }: { children: ComponentChildren; tone?: 'plain' | 'good' | 'bad' | 'warn' | 'accent' }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function Page({ title, lead, actions, children, trail }: {
  title: ComponentChildren; lead?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren; trail?: ComponentChildren;
}) {
  return (
    <section class="page">
      {trail && <nav class="trail" aria-label="Where this is">{trail}</nav>}
      <header class="head">
        <div><h1 tabIndex={-1}>{title}</h1>{lead && <p class="lead">{lead}</p>}</div>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** What was loaded, or that it is loading, or why it could not be. */
export function Await<T>({ loaded, children }: { loaded: Loaded<T>; children: (data: T) => ComponentChildren }) {
  if (loaded.data !== undefined) return <>{children(loaded.data)}</>;
  if (loaded.error) return <Problem error={loaded.error} retry={loaded.reload} />;
  return <div class="skeleton" aria-busy="true" role="status"><i /><i /><i /><span class="unseen">Loading</span></div>;
}

export function Problem({ error, retry }: { error: Failure; retry?: () => void }) {
  return (
    <div class="problem" role="alert">
      <p>{error.message}</p>
      {error.isSealed && <p><a href="#/ceremony">Hold a ceremony</a> to unseal this node.</p>}
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

export function Tabs({ names, value, onInput }: { names: string[]; value: string; onInput: (name: string) => void }) {
  return (
    <div class="tabs" role="group" aria-label="Views">
      {names.map((name) => (
        <button key={name} type="button" aria-pressed={name === value} onClick={() => onInput(name)}>{name}</button>
      ))}
    </div>
  );
}

/** A moment, near ones as a distance. */
export function When({ time }: { time: string | number }) {
  const date = new Date(time);
  if (!time || Number.isNaN(date.getTime())) return <>–</>;
  return <time dateTime={date.toISOString()} title={date.toISOString()}>{distance(date.getTime() - Date.now())}</time>;
}
export function distance(millis: number): string {
  const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [['day', 86_400_000], ['hour', 3_600_000], ['minute', 60_000], ['second', 1_000]];
  for (const [unit, size] of steps) {
    if (Math.abs(millis) >= size || unit === 'second') return words.format(Math.trunc(millis / size), unit);
  }
  return '';
}
/** Seconds as people write them. */
export function span(secs: number): string {
  if (!secs) return '–';
  const parts: [number, string][] = [[86_400, 'd'], [3_600, 'h'], [60, 'm'], [1, 's']];
  const found: string[] = [];
  let rest = Math.round(secs);
  for (const [size, unit] of parts) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) found.push(`${count}${unit}`);
  }
  return found.slice(0, 2).join(' ');
}
