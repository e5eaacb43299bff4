import { laneOf } from '../../src/meta/missing';
import { changes, flatComment, messaging } from '../support/samples';

const without = (name: 'from' | 'media' | 'text' | 'id') => {
  const { [name]: _left, ...value } = changes.comment.value;
  return { ...changes.comment, value };
};

it.each<[string, string, unknown]>([
  ['comments', 'direct', changes.comment],
  ['comments', 'direct', flatComment],
  ['comments', 'direct', changes.adComment],
  ['live_comments', 'direct', changes.liveComment],
  ['comments', 'graph', without('from')],
  ['live_comments', 'graph', without('from')],
  ['comments', 'graph', without('text')],
  ['comments', 'graph', without('media')],
  ['comments', 'direct', { field: 'comments', value: { ...changes.comment.value, text: '' } }],
  ['comments', 'graph', { field: 'comments', value: { ...changes.comment.value, from: {} } }],
  ['comments', 'direct', without('id')],
  ['comments', 'direct', null],
  ['comments', 'direct', { field: 'comments', value: 'x' }],
  ['mentions', 'graph', changes.commentMention],
  ['mentions', 'graph', changes.captionMention],
  ['messages', 'direct', messaging.text],
  ['story_insights', 'direct', changes.storyInsights],
])('%s go the way %s', (eventType, lane, payload) => {
  expect(laneOf(eventType, payload)).toBe(lane);
});
