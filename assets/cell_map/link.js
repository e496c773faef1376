// What maps of the same cells share: the chosen cells, and, for panels of one figure, where the camera stands.

const channels = new Map();

const channel = (name) => {
  if (!channels.has(name)) channels.set(name, { members: new Set(), known: new Map() });
  return channels.get(name);
};

/** Join the maps of one name; returns how to leave, to tell the others, and to look up sets of cells by their token. */
export const join = (name, onMessage) => {
  const mine = channel(name);
  mine.members.add(onMessage);
  return {
    leave: () => {
      mine.members.delete(onMessage);
      if (mine.members.size === 0) channels.delete(name);
    },
    tell: (message) => {
      for (const other of mine.members) if (other !== onMessage) other(message);
    },
    remember: (token, bits) => {
      mine.known.set(token, bits);
      if (mine.known.size > 8) mine.known.delete(mine.known.keys().next().value);
    },
    recall: (token) => mine.known.get(token),
  };
};
