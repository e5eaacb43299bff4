import { type TFunction } from 'i18next';
import { type EventFilters } from '../models/webhookEvents';
import { type Format } from '../utils/format';

/** What a page says, in its reader's language and zone. */
export interface PageTexts {
  t: TFunction;
  exists: (key: string) => boolean;
  format: Format;
}

/** The filters as they stand in the address: links keep them. */
export function queryOf(filters: EventFilters): [string, string][] {
  return [
    ...filters.status.map((value) => ['status', value] as [string, string]),
    ...filters.eventType.map((value) => ['eventType', value] as [string, string]),
    ...filters.accountId.map((value) => ['accountId', value] as [string, string]),
    ...(filters.from === null ? [] : [['from', filters.from.toISOString()] as [string, string]]),
    ...(filters.to === null ? [] : [['to', filters.to.toISOString()] as [string, string]]),
    ...(filters.q === null ? [] : [['q', filters.q] as [string, string]]),
  ];
}

/** One per filter that is on, each with the address of the same page without it. */
export function chipsOf(
  filters: EventFilters,
  accounts: { id: string; username: string }[],
  { t, exists, format }: PageTexts,
  path: string,
): { label: string; removeHref: string }[] {
  const textOf = (name: string, value: string): string => {
    if (name === 'accountId' && value === 'none') return t('events:table.no_account');
    if (name === 'accountId') return accounts.find(({ id }) => id === value)?.username ?? value;
    if (name === 'status') return t(`events:status.${value}`);
    if (name === 'eventType') return exists(`events:types.${value}`) ? t(`events:types.${value}`) : value;
    return name === 'q' ? value : format.time(value);
  };
  const query = queryOf(filters);
  return query.map(([name, value], index) => ({
    label: `${t(`events:filter.${name === 'q' ? 'search' : name}`)}: ${textOf(name, value)}`,
    removeHref: hrefOf(
      path,
      query.filter((_pair, other) => other !== index),
    ),
  }));
}

export function hrefOf(path: string, query: [string, string][]): string {
  return query.length === 0 ? path : `${path}?${new URLSearchParams(query).toString()}`;
}
