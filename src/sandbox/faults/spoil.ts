import { type Answer } from '../graph/answer';
import { type GraphCall } from '../graph/call';
import { pageUrl, START_CURSOR } from '../graph/render';
import { type FaultRule } from '../state';
import { numberParam, textParam } from './catalogue';

/** Changes an answer the way the rule says; an error fault leaves it as it is. */
export function spoilAnswer(call: GraphCall, rule: FaultRule, answer: Answer): Answer {
  switch (rule.action) {
    case 'slow':
      return slow(rule, answer);
    case 'drop':
      return {
        ...answer,
        manner: textParam(rule, 'when', 'before') === 'middle' ? 'dropMiddle' : 'dropBefore',
      };
    case 'malformed':
      return malformed(rule, answer);
    case 'unexpected_shape':
      return unexpectedShape(rule, answer);
    case 'empty_page':
      return emptyPage(call, answer);
    case 'ambiguous_send':
      return textParam(rule, 'kind', 'error') === 'drop' ? { ...answer, manner: 'dropBefore' } : answer;
    default:
      return answer;
  }
}

function slow(rule: FaultRule, answer: Answer): Answer {
  const delayMs = numberParam(rule, 'ms', 3000);
  const kind = textParam(rule, 'kind', 'delay');
  if (kind === 'drip') return { ...answer, delayMs, manner: 'drip' };
  return kind === 'headers' ? { ...answer, manner: 'headersOnly' } : { ...answer, delayMs };
}

function malformed(rule: FaultRule, answer: Answer): Answer {
  switch (textParam(rule, 'kind', 'truncated')) {
    case 'html': {
      const body = '<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>';
      return { ...answer, status: 502, contentType: 'text/html', body };
    }
    case 'empty':
      return { ...answer, status: 200, body: '' };
    case 'string_error':
      return { ...answer, status: 400, body: '{"error":"invalid_request"}' };
    case 'wrong_content_type':
      return { ...answer, contentType: 'text/javascript; charset=UTF-8' };
    case 'error_in_200':
      return { ...answer, status: 200, body: '{"error":{"message":"An unknown error occurred","code":1}}' };
    default:
      return { ...answer, body: answer.body.slice(0, Math.floor(answer.body.length / 2)) };
  }
}

/** Applies the listed kinds, or all but the last two when none is named. */
function unexpectedShape(rule: FaultRule, answer: Answer): Answer {
  const listed = rule.params['kinds'];
  const kinds = Array.isArray(listed) ? listed : ['unknown_fields', 'numeric_ids', 'string_success'];
  const body = kinds.reduce<string>((text, kind) => shapes[String(kind)]?.(text) ?? text, answer.body);
  return { ...answer, body };
}

/** On the text of an answer: a number above 2^53 would not survive being parsed here. */
const shapes: Record<string, (text: string) => string> = {
  unknown_fields: (text) => text.replace(/\{(?=")/g, '{"__future_field":{"new":[1,2]},'),
  numeric_ids: (text) => text.replace(/"((?:\w+_)?id)":"(\d+)"/g, '"$1":$2'),
  string_success: (text) => text.replace('"success":true', '"success":"true"'),
  missing_fields: (text) =>
    text.replace(/,"(?:name|token_type|category|username|tasks)":(?:"[^"]*"|\[[^\]]*\])/g, ''),
  wrapped: (text) => (text.startsWith('{"data":') ? text : `{"data":[${text}]}`),
};

/** An empty first page whose `next` leads to the real beginning. */
function emptyPage(call: GraphCall, answer: Answer): Answer {
  if (call.params['after'] !== undefined || answer.status !== 200) return answer;
  const owner = call.token?.subjectId ?? 'me';
  const cursors = { before: START_CURSOR, after: START_CURSOR };
  const next = pageUrl(call, owner, 'accounts', { after: START_CURSOR });
  return { ...answer, body: JSON.stringify({ data: [], paging: { cursors, next } }) };
}
