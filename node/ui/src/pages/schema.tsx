// Forms out of the server's own description of its paths (OpenAPI): whatever an engine takes, there is a field for it.
import { useState } from 'preact/hooks';
import { get, type Fields } from '../api';
import { Choice, Field, Tick } from '../parts';
import { session } from '../session';

export interface Property {
  name: string;
  type: string;
  description: string;
  values?: string[];
  isRequired: boolean;
  /** How a list or a map is sent. */
  isSeconds: boolean;
}
export interface Operation {
  verb: 'GET' | 'LIST' | 'POST' | 'PATCH' | 'DELETE';
  fields: Property[];
}
export interface ApiPath {
  path: string;
  description: string;
  parameters: Property[];
  operations: Operation[];
  needsSudo: boolean;
}

let asked: Promise<Fields> | null = null;
let askedBy = '';
/** The description of what is mounted now, as this session may see it. */
export function description(isFresh = false): Promise<Fields> {
  const who = session.value?.accessor ?? '';
  if (!asked || isFresh || who !== askedBy) asked = get('sys/internal/specs/openapi', { whole: true }).catch((error) => { asked = null; throw error; });
  askedBy = who;
  return asked;
}

const property = (name: string, schema: Fields, description: string, isRequired: boolean): Property => ({
  name, description, isRequired, type: schema.type ?? 'any', values: schema.enum, isSeconds: schema.format === 'seconds',
});

/** The operations of a path; a list is a read of its own in the description, with `list` as what tells it. */
function operationsOf(entry: Fields): Operation[] {
  const found: Operation[] = [];
  const query = (operation: Fields) => (operation.parameters ?? []).filter((given: Fields) => given.in === 'query')
    .map((given: Fields) => property(given.name, given.schema ?? {}, given.description ?? '', false));
  if (entry.get) {
    const list = (entry.get.parameters ?? []).find((given: Fields) => given.name === 'list');
    const fields = query(entry.get).filter((field: Property) => field.name !== 'list');
    if (list) found.push({ verb: 'LIST', fields: fields.filter((field: Property) => ['after', 'limit'].includes(field.name)) });
    if (!list?.required) found.push({ verb: 'GET', fields });
  }
  for (const [name, verb] of [['post', 'POST'], ['patch', 'PATCH']] as const) {
    if (!entry[name]) continue;
    const content: Fields = Object.values(entry[name].requestBody?.content ?? {})[0] ?? {};
    const required: string[] = content.schema?.required ?? [];
    const fields = Object.entries<Fields>(content.schema?.properties ?? {});
    found.push({ verb, fields: fields.map(([key, schema]) => property(key, schema, schema.description ?? '', required.includes(key))) });
  }
  if (entry.delete) found.push({ verb: 'DELETE', fields: [] });
  return found;
}

export function pathsOf(api: Fields, mount: string): ApiPath[] {
  return Object.entries<Fields>(api.paths)
    .filter(([path]) => path.startsWith(`/${mount}`))
    .map(([path, entry]) => ({
      path: path.slice(1),
      description: entry.description ?? '',
      parameters: (entry.parameters ?? []).filter((given: Fields) => given.in === 'path')
        .map((given: Fields) => property(given.name, given.schema ?? {}, given.description ?? '', true)),
      operations: operationsOf(entry),
      needsSudo: entry['x-vault-sudo'] === true,
    }));
}

/** What was typed for a field, as the server takes it; `undefined` if nothing was. */
export function sent(field: Property, text: string): unknown {
  if (text === '') return undefined;
  switch (field.type) {
    case 'integer': {
      if (!/^-?\d+$/.test(text.trim())) throw new Error(`${field.name} is a whole number.`);
      return Number(text);
    }
    case 'boolean': return text === 'true';
    case 'array': return text.trim().startsWith('[') ? JSON.parse(text) : text.split(/[\n,]/).map((part) => part.trim()).filter(Boolean);
    case 'object': return mapped(field, text);
    case 'any': return /^[[{]/.test(text.trim()) ? JSON.parse(text) : text;
    default: return text;
  }
}
/** A map is JSON, or a line for each of its entries. */
function mapped(field: Property, text: string): Fields {
  if (text.trim().startsWith('{')) return JSON.parse(text);
  const map: Fields = {};
  for (const line of text.split('\n').filter((line) => line.trim())) {
    const at = line.indexOf('=');
    if (at < 1) throw new Error(`${field.name}: “${line.trim()}” is not name=value.`);
    map[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return map;
}
export function sentAll(fields: Property[], values: { [name: string]: string }): Fields {
  const entries = fields.map((field) => [field.name, sent(field, values[field.name] ?? '')] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

const SECRET_NAMES = /(^|_)(password|passphrase|secret|token|key|private_key|bindpass|jwt|pem_bundle)$/;
const HINTS: { [type: string]: string } = { array: 'With commas or lines between.', object: 'JSON, or lines of name=value.' };
/** What has no effect here need not be asked for. */
const isIdle = (field: Property) => /without effect|^Refused/.test(field.description);

export function FieldOf({ field, value, onInput }: { field: Property; value: string; onInput: (value: string) => void }) {
  const label = field.isRequired ? `${field.name} (required)` : field.name;
  const hint = [field.description, HINTS[field.type]].filter(Boolean).join(' ').replace(/([^.])( With| JSON,)/, '$1.$2');
  if (field.values) return <Choice label={label} value={value} options={[['', '–'], ...field.values.map((name) => [name, name] as [string, string])]} onInput={onInput} hint={hint} />;
  if (field.type === 'boolean') return <Choice label={label} value={value} options={[['', '–'], ['true', 'yes'], ['false', 'no']]} onInput={onInput} hint={hint} />;
  const isLong = ['array', 'object'].includes(field.type) || /PEM|policy$|template/i.test(field.description + field.name);
  const isSecret = !isLong && SECRET_NAMES.test(field.name);
  return <Field label={label} value={value} onInput={onInput} hint={hint} mono={isLong || field.isSeconds} {...(isLong ? { rows: 3 } : {})}
    type={isSecret ? 'password' : field.type === 'integer' ? 'number' : 'text'} autocomplete={isSecret ? 'new-password' : 'off'} />;
}

/** Fields of a form, those first that must be there or are few. */
export function FieldsOf({ fields, values, onInput }: {
  fields: Property[]; values: { [name: string]: string }; onInput: (values: { [name: string]: string }) => void;
}) {
  const [isAll, showAll] = useState(false);
  const useful = fields.filter((field) => !isIdle(field));
  const first = useful.length <= 6 ? useful : useful.filter((field, at) => field.isRequired || at < 4);
  const rest = useful.filter((field) => !first.includes(field));
  const draw = (field: Property) => (
    <FieldOf key={field.name} field={field} value={values[field.name] ?? ''} onInput={(value) => onInput({ ...values, [field.name]: value })} />
  );
  return (
    <>
      {first.map(draw)}
      {rest.length > 0 && <Tick label={`Show ${rest.length} more fields`} value={isAll} onInput={showAll} />}
      {isAll && rest.map(draw)}
    </>
  );
}
