// Two maps of values beside each other.
import { useState } from 'preact/hooks';
import { Button } from '../parts';
import type { Fields } from '../api';

type Line = { kind: 'added' | 'removed' | 'same'; name: string; value: string };

/** What has to go and what has to come, name by name. */
export function lines(before: Fields, after: Fields): Line[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => {
    const [old, now] = [JSON.stringify(before[name]), JSON.stringify(after[name])];
    if (old === now) return [{ kind: 'same', name, value: now! }] as Line[];
    const found: Line[] = [];
    if (old !== undefined) found.push({ kind: 'removed', name, value: old });
    if (now !== undefined) found.push({ kind: 'added', name, value: now });
    return found;
  });
}

const SIGNS = { added: '+', removed: '−', same: ' ' };
const WORDS = { added: 'added', removed: 'removed', same: 'unchanged' };

export function Difference({ before, after }: { before: Fields; after: Fields }) {
  const [isShown, show] = useState(false);
  return (
    <div class="stack">
      <div class="diff">
        {lines(before, after).map(({ kind, name, value }, at) => (
          <div key={at} class={kind}>
            <span><span aria-hidden="true">{SIGNS[kind]}</span><span class="unseen">{WORDS[kind]}</span></span>
            <span>{name}</span><span>{isShown ? value : '••••••••'}</span>
          </div>
        ))}
      </div>
      <div class="actions"><Button icon={isShown ? 'hidden' : 'eye'} onClick={() => show(!isShown)}>{isShown ? 'Hide values' : 'Show values'}</Button></div>
    </div>
  );
}
